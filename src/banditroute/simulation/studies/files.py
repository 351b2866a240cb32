"""Results for other programs: JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from banditroute.simulation.results import Chapter, Means, Results, Run


def results_view(results: Results) -> dict[str, Any]:
    """Runs and baselines as JSON.

    Where there is more than one scenario, every run names its own, ``baselines`` is of the first
    and ``scenarios`` has those of each.
    """
    several = len(results.chapters) > 1
    view: dict[str, Any] = {
        "runs": [
            ({"scenario": chapter.scenario} if several else {}) | _run(run, chapter)
            for chapter in results.chapters
            for run in chapter.runs
        ],
        "baselines": _baselines(results.chapters[0].baselines),
    }
    if several:
        view["scenarios"] = {
            chapter.scenario: {"baselines": _baselines(chapter.baselines)}
            for chapter in results.chapters
        }
    return view


def runs_csv(results: Results) -> str:
    """One line a run, with the scenario first."""
    text = StringIO()
    rows = [
        {"scenario": chapter.scenario, **_run(run, chapter), **_more(run)}
        for chapter in results.chapters
        for run in chapter.runs
    ]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _run(run: Run, chapter: Chapter) -> dict[str, Any]:
    return {
        "policy": run.policy,
        "seed": run.seed,
        "requests": chapter.requests,
        **_means(run.means),
        "quality_first_500": run.quality_first_500,
        "quality_last_half": run.quality_last_half,
    }


def _more(run: Run) -> dict[str, Any]:
    return {"regret": run.regret, "failed": run.failed}


def _baselines(baselines: Mapping[str, Means]) -> dict[str, dict[str, float]]:
    return {name: _means(means) for name, means in baselines.items()}


def _means(means: Means) -> dict[str, float]:
    return {"quality": means.quality, "cost_usd": means.cost_usd, "utility": means.utility}
