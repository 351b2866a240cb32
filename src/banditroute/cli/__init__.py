"""The command line: ``banditroute COMMAND``, a module each."""

import os
import sys


def main() -> None:
    """Run the command that the arguments name, and exit; with 130 after Ctrl-C while it loads."""
    # Before numpy is loaded: on matrices of this size BLAS threads only fight over the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from banditroute.cli.app import run  # noqa: PLC0415 - numpy comes with it

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
