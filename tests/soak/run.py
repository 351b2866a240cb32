"""Run the soak: ``python tests/soak/run.py --seeds 20 --feedbacks 100000``; ``--help`` has more.

Every seed is a run of its own, and exits 1 at the end if any verdict failed; the folder of
such a run is kept. Each run prints its seed, its sizes and how to repeat it.
"""

import argparse
import asyncio
import json
import os
import platform
import shlex
import shutil
import signal
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for ``soak`` and its neighbours

from redis_servers import SKIP_REASON, binaries

from soak.trial import FEEDBACKS_PER_EVENT, Report, Size, soak

CANNOT_RUN, STOPPED = 2, 130
LEAST_EVENTS = 6
WIDTH = 112  # of the table
COLUMNS = {
    "heard": "words heard",
    "202": "accepted",
    "dupl.": "duplicates",
    "amend.": "amendment",
    "retr.": "retraction",
    "given up": "given up",
    "timeout": "timed out",
}


def main() -> int:
    """Run every seed; 1 if any failed."""
    options, console = _options(), Console(width=max(Console().width, WIDTH))
    servers = binaries()
    if options.server and options.server not in servers:
        console.print(f"no {options.server} here: there is {', '.join(servers) or 'none'}")
        return CANNOT_RUN
    if not servers:
        console.print(SKIP_REASON)
        return CANNOT_RUN
    binary = servers[options.server] if options.server else next(iter(servers.values()))
    size = Size(
        options.feedbacks,
        options.replicas,
        options.clients,
        options.events or max(options.feedbacks // FEEDBACKS_PER_EVENT, LEAST_EVENTS),
        options.lag,
    )
    console.print(f"{size}\n{_machine(binary)}", highlight=False)
    reports = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        try:
            reports.append(asyncio.run(_one(seed, size, binary, options.keep, console)))
        except (asyncio.CancelledError, KeyboardInterrupt):
            console.print(f"stopped in seed {seed}")
            return STOPPED
        console.print(_table(reports))
        if options.json:
            whole = {"machine": _machine(binary), "runs": [report.plain() for report in reports]}
            options.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return int(any(report.failures for report in reports))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Soak banditroute's replicas; see tests/soak.")
    add = parser.add_argument
    add("--seeds", type=int, default=1, help="how many runs, each with a seed of its own")
    add("--first-seed", type=int, default=0, help="the first of them")
    add("--feedbacks", type=int, default=10_000, help="words that clients say, without duplicates")
    add("--replicas", type=int, default=4)
    add("--clients", type=int, default=64)
    add("--events", type=int, help=f"what goes wrong; 1 per {FEEDBACKS_PER_EVENT:,} feedbacks")
    add("--lag", type=float, default=5.0, help="mean seconds between two words on one decision")
    add("--server", choices=["redis", "valkey"], help="which there must be; else any")
    add("--json", type=Path, help="write the reports there, after each run")
    add("--keep", action="store_true", help="keep the folders of good runs too")
    return parser.parse_args()


async def _one(seed: int, size: Size, binary: Path, keep: bool, console: Console) -> Report:
    """A run in a folder of its own, which is kept if it failed. SIGTERM ends it cleanly."""
    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    folder = Path(tempfile.mkdtemp(prefix=f"banditroute-soak-{seed}-"))
    columns = "{task.fields[done]}", "{task.fields[what]}"
    with Progress(
        TextColumn(f"seed {seed}"),
        BarColumn(),
        *map(TextColumn, columns),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        bar = progress.add_task("", total=1.0, done="", what="")

        def watch(share: float, what: str) -> None:
            done = f"{round(share * size.feedbacks):,}"
            progress.update(bar, completed=share, done=done, what=what)

        report = await soak(seed, size, folder, binary, watch)
    again = _again(seed, size, binary)
    for failure in report.failures:
        console.print(f"[red]seed {seed}:[/] {failure}", soft_wrap=True, highlight=False)
    if report.failures or keep:
        console.print(f"seed {seed} is kept in {folder}; again: {again}", soft_wrap=True)
    else:
        shutil.rmtree(folder)
        console.print(f"seed {seed} again: {again}", soft_wrap=True, highlight=False)
    return report


def _again(seed: int, size: Size, binary: Path) -> str:
    """The command that runs one seed once more."""
    options = {
        "--first-seed": seed,
        "--feedbacks": size.feedbacks,
        "--replicas": size.replicas,
        "--clients": size.clients,
        "--events": size.events,
        "--lag": size.lag_s,
        "--server": next(name for name, found in binaries().items() if found == binary),
    }
    return shlex.join(["python", sys.argv[0], *(str(w) for pair in options.items() for w in pair)])


def _table(reports: list[Report]) -> Table:
    """What was done and found, a line a seed; below it what went wrong in the last."""
    names = ["seed", "words", *COLUMNS, "events", "undone", "log", "s", "/s", "verdict"]
    table = Table(*names, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for report in reports:
        cells: list[Any] = [report.seed, report.size.feedbacks]
        cells += [report.counts[name] for name in COLUMNS.values()]
        cells += [report.events.total(), report.entries_lost]
        cells += [report.log_length, round(report.seconds)]
        cells += [round(report.counts["words heard"] / max(report.talk_s, 0.1))]
        table.add_row(*map(str, cells), "[red]failed" if report.failures else "[green]ok")
    last = reports[-1]
    kinds = ", ".join(f"{n} {kind}" for kind, n in last.events.items())
    table.caption = (
        f"seed {last.seed}: {kinds}. words: said, without copies; dupl.: copies heard; "
        "undone: entries of the log that Redis lost in failovers and wipes"
    )
    return table


def _machine(binary: Path) -> str:
    cores, python = os.cpu_count(), platform.python_version()
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, Python {python}, "
        f"numpy {metadata.version('numpy')}, {binary}"
    )


if __name__ == "__main__":
    sys.exit(main())
