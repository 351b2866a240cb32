"""The claims about learning, each remade by one command.

    python benchmarks/learning/run.py g1 --data FOLDER [--shuffles 20] [--processes 2]

prints the table and puts it into ``benchmarks/learning/README.md``. ``--data`` names the folder
that holds the sets ``mmlu_pro``, ``llmrouter_ulab``, ``paretobandit_val`` and ``bfcl_tools``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from goals.change import g5, g7
from goals.money import g2, g4, g6, g10
from goals.proofs import g9, g11, g12
from goals.quality import compare, g1, g3, g8
from lab import Lab, Table, write
from peers import PEERS

README = Path(__file__).parent / "README.md"
TEXTBOOK = (
    *("context-free", "linucb-textbook", "linucb-tuned", "lints-textbook", "squarecb"),
    *("d-linucb", "epsilon-greedy", "paretobandit", "random", "best-fixed"),
)
GOALS: dict[str, Callable[[Lab], Table]] = {
    "g1": g1,
    "g2": g2,
    "g3": g3,
    "g4": g4,
    "g5": g5,
    "g6": g6,
    "g7": g7,
    "g8": g8,
    "g9": g9,
    "g10": g10,
    "g11": g11,
    "g12": g12,
    "rivals": partial(compare, policies=TEXTBOOK),
    "peers": partial(compare, policies=tuple(PEERS)),
}


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("goals", nargs="+", choices=GOALS)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data sets")
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for what rivals and peers earned")
    parser.add_argument("--dry", action="store_true", help="leave README.md as it is")
    asked = parser.parse_args()
    lab = Lab(asked.data, asked.shuffles, asked.processes, asked.keep)
    for name in asked.goals:
        began = time.monotonic()
        table = GOALS[name](lab)
        took = f", {(time.monotonic() - began) / 60.0:.1f} minutes on {lab.processes} cores"
        said = f"`run.py {name} --shuffles {lab.shuffles}`{'' if lab.kept else took}"
        text = f"{table.markdown()}\n\n{said}"
        print(text, flush=True)
        if not asked.dry:
            write(README, name, text)


if __name__ == "__main__":
    main()
