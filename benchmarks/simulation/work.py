"""The work of all contenders, as files: ``python work.py FOLDER [--data SET] …``.

``arrays.npz`` holds what a contender needs to know: ``contexts`` (T, d), as the router sees them,
and ``rewards`` (T, K), the quality of every arm's answer. ``problem.pickle`` holds the same as a
problem of ours with the order of its prompts, and tokens, costs and latencies besides.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np

from banditroute.datasets import load_dataset
from banditroute.simulation import Problem, World, problem_of


def problem(data: Path | None, prompts: int, arms: int, seed: int) -> Problem:
    """A data folder's, or that of a made-up world."""
    if data is not None:
        return problem_of(load_dataset(data))
    return World(prompts=prompts, arms=arms, seed=seed).problem()


def main() -> None:
    """Lay out the work of one seed; prompts that are too few come again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    for name in ("requests", "arms", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asked = parser.parse_args()
    posed = problem(asked.data, asked.requests, asked.arms, asked.seed)
    shuffled = np.random.default_rng(asked.seed).permutation(len(posed))
    order = np.resize(shuffled, asked.requests)
    contexts = np.stack([posed.contexts[prompt].x for prompt in order])
    np.savez(asked.folder / "arrays.npz", contexts=contexts, rewards=posed.quality[order])
    (asked.folder / "problem.pickle").write_bytes(pickle.dumps((posed, order.tolist())))
    print(f"{posed.name}: {asked.requests:,} requests, K = {len(posed.roster)}, ", end="")
    print(f"d = {contexts.shape[1]}, mean reward of all arms {posed.quality.mean():.3f}, ", end="")
    print(f"of the best {posed.quality.mean(axis=0).max():.3f}")


if __name__ == "__main__":
    main()
