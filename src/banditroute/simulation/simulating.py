"""A study in one call, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banditroute.simulation.results import Results
from banditroute.simulation.studies.plans import Given, plan_of
from banditroute.simulation.studies.policies import Policy
from banditroute.simulation.studies.running import Watch, run
from banditroute.simulation.studies.schema import ScenarioSpec, Study

DEFAULT = Study()


def simulate(
    data: Given,
    policies: Sequence[Policy] | Mapping[str, Policy] = DEFAULT.policies,
    *,
    seeds: int = DEFAULT.seeds,
    requests: int | None = None,
    scenario: str | ScenarioSpec | Sequence[str | ScenarioSpec] = "stationary",
    answer_value_usd: float | None = None,
    budget_usd_per_request: float | None = None,
    task: bool = True,
    floor: float = DEFAULT.floor,
    processes: int = 1,
    title: str = "",
    folder: Path | None = None,
    watch: Watch | None = None,
) -> Results:
    """Play policies on data, at every seed, in one scenario or several.

    ``data`` is a problem, a data set or a made-up world. A policy is a name
    (:mod:`banditroute.simulation.studies.policies`), or a function of (problem, seed, scenario)
    that makes a :class:`Player`; functions that another process could not import, as those of a
    notebook, are played in this process. Everything else is played in ``processes`` others, so
    a script calls this under ``if __name__ == "__main__":``. Runs are kept in ``folder``.
    Raises ConfigError for what cannot be played, StudyError when a run fails.
    """
    players = _named(policies)
    several = [scenario] if isinstance(scenario, str | ScenarioSpec) else list(scenario)
    study = Study(
        title=title,
        policies=tuple(players),
        seeds=seeds,
        requests=requests,
        scenarios=tuple(several),
        answer_value_usd=answer_value_usd,
        budget_usd_per_request=budget_usd_per_request,
        task=task,
        floor=floor,
    )
    plan = plan_of(study, data, players)
    return run(plan, processes=processes, folder=folder, watch=watch)


def _named(policies: Sequence[Policy] | Mapping[str, Policy]) -> dict[str, Policy]:
    """What each policy is called: its name, and of functions of one name a number too."""
    if isinstance(policies, Mapping):
        return dict(policies)
    named: dict[str, Policy] = {}
    for policy in policies:
        name = policy if isinstance(policy, str) else _name(policy)
        count = sum(other.partition("#")[0] == name for other in named)
        named[f"{name}#{count + 1}" if count else name] = policy
    return named


def _name(policy: Any) -> str:
    return str(getattr(policy, "__name__", type(policy).__name__)).strip("<>")
