"""What it costs to simulate a request, beside other simulators, and whether it stays so.

    python benchmarks/bench_simulate.py [--data FOLDER] [--only peers|scaling] [--repeats 3]
    python benchmarks/bench_simulate.py --goal [--seeds 20] [--processes 2]

First ours, obp and coba on the same contexts and rewards, each simulator and policy in a process
of its own on one core, in turn, so that the ratios hold on a noisy machine. Then ``banditroute
simulate`` with ever more requests. ``--goal`` plays 20 seeds of 8 policies over 12,000 requests
and 14 arms, and says how much time and memory that took in all. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from simulation.processes import Used, used

ROOM = Path(__file__).parent / "simulation"
OURS = "ours"
# The simulators of each policy. The first is what the others are measured by.
CONTENDERS = {
    "random": (OURS, "obp", "coba"),
    "epsilon-greedy": (OURS, "obp", "obp-replay", "coba"),
    "linucb": (OURS, "obp", "obp-replay", "coba"),
    "thompson": (OURS,),
}
INSTALL = {
    "obp": "pip install --no-deps obp==0.4.1; pip install pandas pyyaml scikit-learn tqdm",
    "coba": "pip install coba==8.1.0",
}
LONG_S = 60.0  # whoever takes longer is not asked again
DEFAULT = "thompson,linucb,context-free"
GOAL = (
    "thompson,linucb,epsilon-greedy,context-free,"
    "linucb-textbook,lints-textbook,squarecb,paretobandit"
)
GOAL_S, GOAL_MB = 600.0, 1_000.0


@dataclass(frozen=True, slots=True)
class Took:
    """One contender, once: CPU seconds, mean reward, and MB before and at the peak."""

    seconds: float
    reward: float
    before_mb: float
    peak_mb: float


Rounds: TypeAlias = dict[tuple[str, str], list[Took]]


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a data folder; else a world is made up")
    parser.add_argument("--requests", type=int, default=12_000)
    parser.add_argument("--arms", type=int, default=14, help="of the made-up world")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up world")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("peers", "scaling"))
    parser.add_argument("--goal", action="store_true", help="the whole study, and nothing else")
    parser.add_argument("--policies", default=GOAL, help="of --goal")
    parser.add_argument("--seeds", type=int, default=20, help="of --goal")
    parser.add_argument("--processes", type=int, default=2, help="of --goal")
    asked = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TQDM_DISABLE"] = "1"  # obp draws a bar
    with tempfile.TemporaryDirectory() as folder:
        if asked.goal:
            goal(Path(folder), asked)
            return
        if asked.only != "scaling":
            peers(Path(folder), asked)
        if asked.only != "peers":
            scaling(Path(folder), asked)


def peers(folder: Path, asked: argparse.Namespace) -> None:
    """Print every policy's simulators side by side."""
    lay_out(folder, asked)
    rounds: Rounds = {}
    missing: dict[str, str] = {}
    for _ in range(asked.repeats):
        for policy, simulator in next_round(rounds, missing):
            found = contend(folder, simulator, policy)
            if isinstance(found, str):
                missing[package_of(simulator)] = found
            else:
                rounds.setdefault((policy, simulator), []).append(found)
    for package, module in missing.items():
        print(f"{package} is skipped, for there is no {module}: {INSTALL[package]}")
    columns = ("CPU s/1,000", "ratio", "reward", "MB before", "MB peak")
    print(f"{'policy':15} {'simulator':11}", *(f"{title:>11}" for title in columns))
    for (policy, simulator), took in rounds.items():
        print(f"{policy:15} {simulator:11} {line(took, rounds[policy, OURS], asked.requests)}")


def next_round(rounds: Rounds, missing: Container[str]) -> Iterator[tuple[str, str]]:
    """Who is to be measured, policy by policy."""
    for policy, simulators in CONTENDERS.items():
        for simulator in simulators:
            long = any(took.seconds > LONG_S for took in rounds.get((policy, simulator), ()))
            if package_of(simulator) not in missing and not long:
                yield policy, simulator


def package_of(simulator: str) -> str:
    return simulator.partition("-")[0]


def line(took: list[Took], ours: list[Took], requests: int) -> str:
    """Medians; the ratio is the median of those of the rounds in which both were measured."""
    seconds = statistics.median(one.seconds for one in took) / requests * 1_000
    ratio = statistics.median(
        one.seconds / mine.seconds for one, mine in zip(took, ours, strict=False)
    )
    before = statistics.median(one.before_mb for one in took)
    peak = statistics.median(one.peak_mb for one in took)
    return f"{seconds:11.3f} {ratio:11.1f} {took[0].reward:11.4f} {before:11.0f} {peak:11.0f}"


def lay_out(folder: Path, asked: argparse.Namespace) -> None:
    """Write the work into a folder, in another process: this one stays small.

    What a process takes at most is counted from the size of the process that started it.
    """
    options = {name: getattr(asked, name) for name in ("data", "requests", "arms", "seed")}
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    subprocess.run([sys.executable, ROOM / "work.py", folder, *given], check=True)


def contend(folder: Path, simulator: str, policy: str) -> Took | str:
    """Let one contender do the work, or return the module that it misses."""
    command = [sys.executable, ROOM / "contend.py", folder, simulator, policy]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return str(found["missing"]) if "missing" in found else Took(**found)


def scaling(folder: Path, asked: argparse.Namespace) -> None:
    """Print what ``banditroute simulate`` takes with a quarter, half, all and twice the requests.

    Policies are the command's own choice, on one process, one seed.
    """
    sizes = [asked.requests * share // 4 for share in (1, 2, 4, 8)]
    rounds: dict[int, list[Used]] = defaultdict(list)
    for _ in range(asked.repeats):
        for size in sizes:
            options = {"policies": DEFAULT, "seeds": 1, "processes": 1, "requests": size}
            rounds[size].append(simulated(folder, asked, options))
    print(f"{'requests':>10} {'CPU s':>8} {'s/1,000 more':>14} {'MB peaks':>10}")
    at, cpu_before = 0, 0.0
    for size in sizes:
        cpu = statistics.median(one.cpu_s for one in rounds[size])
        peak = statistics.median(one.peak_mb for one in rounds[size])
        more = f"{(cpu - cpu_before) / (size - at) * 1_000:14.2f}" if at else " " * 14
        print(f"{size:10,} {cpu:8.1f} {more} {peak:10.0f}")
        at, cpu_before = size, cpu


def goal(folder: Path, asked: argparse.Namespace) -> None:
    """Print what the whole study takes, beside what it may take."""
    names = ("policies", "seeds", "processes", "requests")
    took = simulated(folder, asked, {name: getattr(asked, name) for name in names})
    runs = asked.seeds * len(asked.policies.split(","))
    print(f"{runs} runs of {asked.requests:,} requests in {asked.processes} processes")
    print(f"wall time {took.wall_s:.0f} s (goal {GOAL_S:.0f}), CPU time {took.cpu_s:.0f} s")
    print(
        f"peaks of the memory of {took.processes} processes add up to {took.peak_mb:.0f} MB "
        f"(goal {GOAL_MB:.0f})"
    )


def simulated(folder: Path, asked: argparse.Namespace, options: dict[str, object]) -> Used:
    """Run ``banditroute simulate`` on the data, or on the made-up world."""
    study = folder / "study.toml"
    world = f"world = {{prompts = {asked.requests}, arms = {asked.arms}, seed = {asked.seed}}}\n"
    study.write_text(world, encoding="utf-8")
    source = [study] if asked.data is None else ["--data", asked.data]
    given = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "banditroute", "simulate", *source, *given]
    return used([*command, "--json", folder / "results.json"])


if __name__ == "__main__":
    main()
