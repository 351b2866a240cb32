"""Looking back at a router's log: as rows for other tools, made again, and evaluated.

``rows``, ``reading`` and ``writing`` are the log as a file; the rest answers what another policy
would have earned, from choices of the one in force. In a notebook:

>>> import numpy as np
>>> from banditroute.evaluation import Given, Log, evaluate
>>> rng = np.random.default_rng(0)
>>> drawn = rng.choice(3, size=4_000, p=[0.2, 0.3, 0.5])
>>> right = rng.random(4_000) < np.array([0.7, 0.5, 0.2])[drawn]
>>> chances = np.tile([0.2, 0.3, 0.5], (4_000, 1))
>>> log = Log.of_arrays(["a", "b", "c"], drawn, quality=right, probabilities=chances)
>>> found = evaluate(log, ["uniform", Given("mostly a", np.tile([0.8, 0.1, 0.1], (4_000, 1)))])
>>> for one in found.targets:
...     print(one.target, round(one.measures["quality"].values["dr"].estimate, 1), one.verdict.word)
uniform 0.5 promote
mostly a 0.6 promote

A log of ``banditroute export`` is ``Log.of_rows(read_rows(path))``. What is judged are choices
given what the logging router had learned, not how another policy would have learned.
"""

from banditroute.evaluation.estimating import Ways, evaluate
from banditroute.evaluation.log import Log
from banditroute.evaluation.predictions import Predictions
from banditroute.evaluation.reading import read_rows
from banditroute.evaluation.results import (
    Bounds,
    Estimate,
    Evaluation,
    Judgement,
    Measured,
    Savings,
    Verdict,
)
from banditroute.evaluation.rows import Row, row_of
from banditroute.evaluation.saving import BEST_FIXED, Overhead, savings
from banditroute.evaluation.targets import Given, InForce, Instead, Target
from banditroute.evaluation.views import evaluation_view
from banditroute.evaluation.weighing import Weights

__all__ = [
    "BEST_FIXED",
    "Bounds",
    "Estimate",
    "Evaluation",
    "Given",
    "InForce",
    "Instead",
    "Judgement",
    "Log",
    "Measured",
    "Overhead",
    "Predictions",
    "Row",
    "Savings",
    "Target",
    "Verdict",
    "Ways",
    "Weights",
    "evaluate",
    "evaluation_view",
    "read_rows",
    "row_of",
    "savings",
]
