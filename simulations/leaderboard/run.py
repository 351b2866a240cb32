"""Every policy on every data set: who earns most, in one page and one picture.

    python simulations/leaderboard/run.py --data FOLDER [--seeds 10] [--processes 2]

FOLDER holds the sets of ``boards.SETS`` as folders. Runs are kept in ``--keep``: after Ctrl-C, or
with more seeds, the same command goes on from where it was. What comes out is written into
``README.md`` between its marks, and drawn into ``pictures/``.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path

from boards import POLICIES, SETS, VALUE_USD, Board, titled
from drawing import drawn
from telling import overall, table

from banditroute.datasets import load
from banditroute.simulation import simulate
from banditroute.simulation.studies.running import Progress

HERE = Path(__file__).resolve().parent
KEEP = HERE.parents[1] / "build" / "simulations" / "leaderboard"


def main() -> None:
    """Play, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data sets")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=KEEP, help="where finished runs are kept")
    parser.add_argument(
        "--dry", action="store_true", help="leave the page and pictures as they are"
    )
    asked = parser.parse_args()
    boards = {
        name: _boards(asked.data / name, asked.seeds, asked.processes, asked.keep) for name in SETS
    }
    text = _text(boards, asked.seeds)
    print(text)
    if not asked.dry:
        _write(HERE / "README.md", text)
        for name, picture in drawn([board for several in boards.values() for board in several]):
            (HERE / "pictures" / name).write_text(picture, encoding="utf-8")


def _boards(folder: Path, seeds: int, processes: int, keep: Path) -> list[Board]:
    """A set for quality alone, and at a price where it has costs."""
    data = load(folder)
    boards = []
    for value in (None,) if data.cost_usd is None else (None, VALUE_USD):
        results = simulate(
            data,
            POLICIES,
            seeds=seeds,
            answer_value_usd=value,
            processes=processes,
            folder=keep,
            watch=partial(_show, titled(folder.name, value)),
        )
        print(file=sys.stderr)
        boards.append(Board.of(folder.name, value, results.chapters[0]))
    return boards


def _show(title: str, progress: Progress) -> None:
    share = progress.requests / progress.of_requests
    sys.stderr.write(f"\r{title}: {progress.runs} of {progress.of_runs} runs, {share:4.0%}")
    sys.stderr.flush()


def _text(boards: dict[str, list[Board]], seeds: int) -> str:
    every = [board for several in boards.values() for board in several]
    parts = [overall(every), *(table(several) for several in boards.values())]
    under = f"{seeds} seeds; ± is a 95 % interval over seeds."
    return "\n\n".join([*parts, under])


def _write(page: Path, text: str) -> None:
    """Put the tables between their marks."""
    pattern = re.compile("(?<=<!-- table -->\n).*?(?=<!-- /table -->)", re.DOTALL)
    page.write_text(
        pattern.sub(lambda _: f"\n{text}\n\n", page.read_text(encoding="utf-8")), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
