"""The command line: ``banditroute serve | demo | inspect | check | export | import``."""

import os
import sys


def main() -> None:
    """Run the command that the arguments name, and exit."""
    # Before numpy is loaded: on matrices of this size BLAS threads only fight over the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from banditroute.cli.app import run  # noqa: PLC0415 - numpy comes with it

    sys.exit(run(sys.argv[1:]))
