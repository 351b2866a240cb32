"""One decision, as a pure function: beliefs in, candidates and the drawn arm out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter

import numpy as np

from banditroute.core.beliefs import Beliefs, Knowledge, Objective
from banditroute.core.identity import unit_interval
from banditroute.core.policies import Policy, policy_from
from banditroute.core.roster import Roster
from banditroute.core.selection import distribution, draw
from banditroute.values import Arm, Candidate, Context, Decision, Vector

# What a candidate repeats of the beliefs, in the order of its fields.
_predicted = attrgetter(
    *("quality", "quality_sd", "sampling_sd", "cost_usd", "latency_s", "error_rate", "utility")
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm that was drawn, and every eligible arm as it was seen."""

    arm_id: str
    propensity: float
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a router chooses: its policy, exploration floor ε and random seed."""

    policy: Policy
    floor: float
    seed: int


def eligible(beliefs: Beliefs, excluded: Mapping[str, str]) -> Beliefs:
    """The beliefs of the arms that are not excluded, seen beside each other."""
    if not excluded:
        return beliefs.beside_each_other()
    rows = [row for row, arm_id in enumerate(beliefs.arm_ids) if arm_id not in excluded]
    return beliefs.take(rows).beside_each_other()


def choose(
    beliefs: Beliefs,
    roster: Roster,
    rules: Rules,
    usual_cost_usd: float | None,
    decision_id: str,
) -> Choice:
    """Draw one of K ≥ 1 :func:`eligible` arms. The same arguments give the same choice."""
    probabilities = distribution(rules.policy, beliefs, rules.floor, usual_cost_usd)
    row = draw(probabilities, beliefs.arm_ids, unit_interval(rules.seed, decision_id))
    candidates = _candidates(beliefs, roster, probabilities)
    return Choice(beliefs.arm_ids[row], float(probabilities[row]), candidates)


def recompute(decision: Decision, knowledge: Knowledge) -> Choice:
    """Make a logged decision again, from what its router knew at ``decision.position``.

    Everything but ``knowledge`` is in the decision itself. Raises ValueError when
    ``knowledge`` is of another position.
    """
    if knowledge.position != decision.position:
        raise ValueError(
            f"decision {decision.id} was made at position {decision.position}, "
            f"not {knowledge.position}"
        )
    roster = Roster(tuple(_arm(candidate) for candidate in decision.candidates))
    beliefs = knowledge.beliefs(
        roster,
        Context(decision.x, decision.input_tokens, max_output_tokens=decision.max_output_tokens),
        Objective(decision.answer_value_usd, decision.patience_s, decision.budget_price),
        decision.made_at_s,
    )
    rules = Rules(policy_from(decision.policy), decision.floor, decision.seed)
    usual = knowledge.usage.recent_spend_usd()
    return choose(eligible(beliefs, {}), roster, rules, usual, decision.id)


def probabilities_of(choice: Choice | Decision) -> Vector:
    """(K,) the candidates' probabilities, in their order."""
    return np.array([candidate.probability for candidate in choice.candidates])


def _candidates(beliefs: Beliefs, roster: Roster, probabilities: Vector) -> tuple[Candidate, ...]:
    columns = (
        probabilities,
        *_predicted(beliefs),
        *_prices(roster, beliefs.arm_ids),
    )
    rows = zip(beliefs.arm_ids, *(column.tolist() for column in columns), strict=True)
    return tuple(map(tuple.__new__, repeat(Candidate), rows))  # as Candidate._make, but faster


def _prices(roster: Roster, arm_ids: tuple[str, ...]) -> tuple[Vector, Vector]:
    """(K,) dollars per million tokens of input and of output."""
    if arm_ids == roster.ids:
        return roster.input_price, roster.output_price
    place = {arm_id: at for at, arm_id in enumerate(roster.ids)}
    rows = [place[arm_id] for arm_id in arm_ids]
    return roster.input_price[rows], roster.output_price[rows]


def _arm(candidate: Candidate) -> Arm:
    """An arm as it was priced at the decision; nothing else of it enters the arithmetic."""
    return Arm(
        id=candidate.arm_id,
        provider="",
        model="",
        input_usd_per_mtok=candidate.input_usd_per_mtok,
        output_usd_per_mtok=candidate.output_usd_per_mtok,
    )
