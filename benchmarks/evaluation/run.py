"""The claims about evaluation, each remade by one command.

    python benchmarks/evaluation/run.py coverage [--logs 1000] [--processes 2]
    python benchmarks/evaluation/run.py served --data FOLDER [--logs 40]

prints the tables and puts them into ``benchmarks/evaluation/README.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

# The worlds, the tables and the runs in parallel of the studies of learning.
sys.path.append(str(Path(__file__).parents[1] / "learning"))

from coverage_study import coverage
from lab import Lab, Table, write
from served_study import served

HERE = Path(__file__).parent
STUDIES: dict[str, Callable[[Lab, int], list[Table]]] = {"coverage": coverage, "served": served}
LOGS = {"coverage": 1_000, "served": 40}


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("studies", nargs="+", choices=STUDIES)
    parser.add_argument("--logs", type=int, help=f"how many; by default {LOGS}")
    parser.add_argument("--data", type=Path, default=HERE, help="the data folder to serve")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="leave README.md as it is")
    asked = parser.parse_args()
    lab = Lab(asked.data, processes=asked.processes)
    for name in asked.studies:
        began = time.monotonic()
        logs = asked.logs or LOGS[name]
        tables = STUDIES[name](lab, logs)
        minutes = (time.monotonic() - began) / 60.0
        said = f"`run.py {name} --logs {logs}`, {minutes:.1f} minutes on {lab.processes} cores"
        text = "\n\n".join([*(table.markdown() for table in tables), said])
        print(text, flush=True)
        if not asked.dry:
            write(HERE / "README.md", name, text)


if __name__ == "__main__":
    main()
