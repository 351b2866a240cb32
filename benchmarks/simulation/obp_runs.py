"""The two simulators of obp: one in which every answer teaches, and one on a log.

On a log drawn at random, a policy learns only where the log holds the arm that it chose: from
one answer in K. Neither needs torch, which obp only names on this path: what stands in for it
takes less memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from arrays import ALPHA, EPSILON, SEED, Maker, Run, Work

torch, learners = ModuleType("torch"), ModuleType("obp.policy.offline")
torch.Tensor = learners.IPWLearner = learners.NNPolicyLearner = type("Absent", (), {})
sys.modules |= {"torch": torch, "obp.policy.offline": learners}

from obp.policy import EpsilonGreedy, LinUCB, Random  # noqa: E402 - after what stands in
from obp.simulator import (  # noqa: E402
    calc_ground_truth_policy_value,
    run_bandit_simulation,
)


def valued(folder: Path, policy: str) -> Run:
    """``calc_ground_truth_policy_value``."""
    work = Work(folder)
    bandit, log, answers = policy_of(policy, work), log_of(work), iter(work.rewards)

    def answer(_: np.ndarray, action: np.ndarray) -> float:
        return float(next(answers)[action[0]])

    return lambda: float(calc_ground_truth_policy_value(log, answer, bandit, n_sim=1))


def replayed(folder: Path, policy: str) -> Run:
    """``run_bandit_simulation``."""
    work = Work(folder)
    bandit, log = policy_of(policy, work), log_of(work)

    def run() -> float:
        chosen = run_bandit_simulation(log, bandit)[:, :, 0]
        return float((chosen * work.rewards).sum(axis=1).mean())

    return run


def policy_of(policy: str, work: Work) -> Any:
    if policy == "linucb":
        return LinUCB(dim=work.dimension, n_actions=work.arms, epsilon=ALPHA, random_state=SEED)
    if policy == "epsilon-greedy":
        return EpsilonGreedy(n_actions=work.arms, epsilon=EPSILON, random_state=SEED)
    return Random(n_actions=work.arms, random_state=SEED)


def log_of(work: Work) -> dict[str, Any]:
    """Every request with an arm drawn at random."""
    drawn = np.random.default_rng(SEED).integers(work.arms, size=work.requests)
    return {
        "n_rounds": work.requests,
        "n_actions": work.arms,
        "context": work.contexts,
        "action": drawn,
        "position": np.zeros(work.requests, dtype=np.int64),
        "reward": work.rewards[np.arange(work.requests), drawn],
        "expected_reward": work.rewards,
        "pscore": np.full(work.requests, 1.0 / work.arms),
    }


MAKERS: dict[str, Maker] = {"obp": valued, "obp-replay": replayed}
