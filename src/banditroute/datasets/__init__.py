"""Full-information data: real prompts with every arm's observed answer, scored.

:func:`load` reads data folders, public sets and generic files, :func:`from_arrays` and
:func:`from_frame` what a notebook holds. Every format has a module of its own, which says what
it needs and how far that was verified; docs/data.md has the list. Rows count from 0 in errors.
"""

from banditroute.datasets.dataset import Dataset
from banditroute.datasets.folder import load_dataset
from banditroute.datasets.formats import FORMAT_NAMES, load
from banditroute.datasets.memory import from_arrays, from_frame

__all__ = ["FORMAT_NAMES", "Dataset", "from_arrays", "from_frame", "load", "load_dataset"]
