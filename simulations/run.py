"""The studies of this folder, remade by one command: their runs, tables and pictures.

    python simulations/run.py [STUDY ...] [--processes 2]

A study is ``banditroute simulate study.toml --out …``, run in its own folder. Finished runs are
kept in ``build/simulations``: after Ctrl-C the same command goes on from where it was. They do not
know of changes to the router itself; delete them to play it anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from pages import bring, filled

from banditroute.simulation import Results, load_study
from banditroute.simulation.studies.plans import plan_of
from banditroute.simulation.studies.running import run

HERE = Path(__file__).resolve().parent
KEEP = HERE.parent / "build" / "simulations"
STUDIES = sorted(file.parent.name for file in HERE.glob("*/study.toml"))


def main() -> None:
    """Remake the studies that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    unknown = set(asked.studies) - set(STUDIES)
    if unknown:
        parser.error(f"no study {', '.join(sorted(unknown))}; there are {', '.join(STUDIES)}")
    for name in asked.studies or STUDIES:
        remake(HERE / name, KEEP / name, asked.processes)


def remake(study: Path, out: Path, processes: int) -> None:
    """Play a study, and bring its page and its pictures up to date."""
    command = [sys.executable, "-m", "banditroute", "simulate", "study.toml"]
    options = ["--out", str(out), "--processes", str(processes)]
    done = subprocess.run([*command, *options], cwd=study, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    readme = study / "README.md"
    page = filled(readme.read_text(encoding="utf-8"), results_of(study, out))
    readme.write_text(page, encoding="utf-8")
    bring(page, out, study)


def results_of(study: Path, out: Path) -> Results:
    """The runs that were kept."""
    with chdir(study):
        return run(plan_of(load_study(Path("study.toml"))), folder=out / "runs")


if __name__ == "__main__":
    main()
