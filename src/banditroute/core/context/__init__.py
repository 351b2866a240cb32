"""The context of a request: the vector x that policies see, and what the request needs.

:class:`Featurizer` puts it together; ``request`` reads the body, ``shape``, ``text``, ``tasks``
and ``likeness`` make one group of numbers each, ``grams`` hashes words, ``constants`` and
``projection.npy`` hold what was measured once on unlabelled prompts.
"""

from banditroute.core.context.featurizer import Featurizer
from banditroute.core.context.tasks import TaskSpec

__all__ = ["Featurizer", "TaskSpec"]
