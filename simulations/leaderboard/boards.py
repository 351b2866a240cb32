"""What is ranked: policies on a data set, for quality alone or at a price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from banditroute.simulation.report.numbers import Estimate, estimate
from banditroute.simulation.results import Chapter, Run

SETS = ("mmlu_pro", "llmrouter_ulab", "paretobandit_val", "bfcl_tools")
VALUE_USD = 0.05  # what a perfect answer is worth where price counts
OURS = ("thompson", "linucb")
POLICIES = (
    *OURS,
    *("context-free", "epsilon-greedy-means", "linucb-textbook", "linucb-tuned"),
    *("lints-textbook", "squarecb", "d-linucb", "paretobandit", "random", "best-fixed"),
)
HINDSIGHT = "best-fixed"  # knows beforehand which arm is best, and has no rank


@dataclass(frozen=True, slots=True)
class Score:
    """One policy on one board. ``regret`` is what a request loses to the best single arm."""

    reward: Estimate
    regret: Estimate
    rank: int | None


@dataclass(frozen=True, slots=True)
class Board:
    """One set at one worth of an answer; None: quality alone counts."""

    data: str
    value_usd: float | None
    scores: Mapping[str, Score]

    @classmethod
    def of(cls, data: str, value_usd: float | None, chapter: Chapter) -> Board:
        """The board of what was played."""
        rewards = {policy: _over(chapter, policy, _utility) for policy in chapter.policies}
        ranked = [rewards[policy].mean for policy in rewards if policy != HINDSIGHT]
        scores = {
            policy: Score(
                reward,
                _over(chapter, policy, _regret),
                None if policy == HINDSIGHT else 1 + sum(mean > reward.mean for mean in ranked),
            )
            for policy, reward in rewards.items()
        }
        return cls(data, value_usd, scores)

    @property
    def title(self) -> str:
        """``mmlu_pro``, ``mmlu_pro at $0.05``."""
        return titled(self.data, self.value_usd)


def titled(data: str, value_usd: float | None) -> str:
    """What a board is called."""
    return data if value_usd is None else f"{data} at ${value_usd:g}"


def mean_rank(boards: list[Board], policy: str) -> float:
    """A policy's rank, mean over boards; infinite for one that has none."""
    ranks = [board.scores[policy].rank for board in boards]
    known = [rank for rank in ranks if rank is not None]
    return sum(known) / len(known) if known else float("inf")


def by_rank(boards: list[Board]) -> list[str]:
    """The policies, best mean rank first."""
    return sorted(boards[0].scores, key=lambda policy: mean_rank(boards, policy))


def _over(chapter: Chapter, policy: str, value: Callable[[Run], float]) -> Estimate:
    return estimate([value(run) for run in chapter.of(policy)])


def _utility(run: Run) -> float:
    return run.means.utility


def _regret(run: Run) -> float:
    return run.regret
