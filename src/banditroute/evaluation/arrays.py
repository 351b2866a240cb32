"""Plain arrays, checked and laid out as the columns of a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from banditroute.errors import DataError
from banditroute.evaluation.predictions import PREDICTED, Predictions
from banditroute.values import Matrix, Vector

ROUNDING = 1e-6
SPREAD = (
    "only the propensities of the drawn arms were given: the rest of each round's probability is "
    "taken to be spread evenly over the other eligible arms"
)

# What is one number a round, with what it is where it is not given.
_NUMBERS = {
    "quality": float("nan"),
    "cost_usd": float("nan"),
    "latency_s": float("nan"),
    "answer_value_usd": float("inf"),
    "patience_s": float("inf"),
    "budget_price": 0.0,
    "floor": 0.0,
    "judged_share": 1.0,
    "usual_cost_usd": float("nan"),
    "made_at_s": float("nan"),
}
_WORDS: dict[str, Any] = {"tasks": None, "tags": (), "policies": "unknown"}
_OTHERS = frozenset({"probabilities", "propensity", "eligible", "predictions", "x", "by_judge"})


def checked(arms: Iterable[str], arm: ArrayLike, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``Log``, by name. Raises DataError for what does not fit together."""
    unknown = set(given) - set(_NUMBERS) - set(_WORDS) - _OTHERS
    if unknown:
        known = sorted({*_NUMBERS, *_WORDS, *_OTHERS})
        raise DataError(f"a log has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    ids = tuple(str(arm_id) for arm_id in arms)
    drawn = _rows(ids, arm)
    rounds, shape = len(drawn), (len(drawn), len(ids))
    eligible, chances, notes = _chances(given, drawn, shape)
    numbers = {name: _numbers(name, given.get(name), rounds) for name in _NUMBERS}
    if np.any((numbers["quality"] < 0.0) | (numbers["quality"] > 1.0)):
        raise DataError("quality: rewards lie between 0 and 1, NaN where not known; scale them")
    judge = given.get("by_judge")
    return {
        "arms": ids,
        "arm": drawn,
        "eligible": eligible,
        "probabilities": chances,
        "predictions": _predictions(given.get("predictions"), shape),
        "x": _contexts(given.get("x"), rounds),
        **numbers,
        **{name: _words(name, given.get(name), rounds) for name in _WORDS},
        "by_judge": np.zeros(rounds, np.bool_) if judge is None else np.asarray(judge, np.bool_),
        "notes": notes,
    }


def _rows(ids: tuple[str, ...], arm: ArrayLike) -> NDArray[np.int64]:
    """(T,) rows of ``ids``."""
    given = np.asarray(arm)
    if len(ids) != len(set(ids)) or not ids:
        raise DataError("arms: give each arm's id once, and at least one")
    if given.dtype.kind in "OUS":
        place = {arm_id: row for row, arm_id in enumerate(ids)}
        unknown = sorted({str(one) for one in given.tolist()} - set(place))
        if unknown:
            raise DataError(f"arm: {', '.join(unknown)} are not among the arms {', '.join(ids)}")
        return np.array([place[str(one)] for one in given.tolist()], dtype=np.int64)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise DataError("arm: give ids, or rows of the arms as whole numbers, one a round")
    if given.size and not 0 <= given.min() <= given.max() < len(ids):
        raise DataError(f"arm: rows of {len(ids)} arms lie between 0 and {len(ids) - 1}")
    return given.astype(np.int64)


def _chances(
    given: Mapping[str, Any], drawn: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], Matrix, tuple[str, ...]]:
    """Who was eligible, and with which probabilities."""
    whole, propensity = given.get("probabilities"), given.get("propensity")
    if (whole is None) == (propensity is None):
        raise DataError("give either all probabilities (T, K), or the propensity of what was drawn")
    eligible = _eligible(given.get("eligible"), drawn, shape)
    notes: tuple[str, ...] = ()
    if whole is None:
        chances = _spread(_numbers("propensity", propensity, len(drawn)), drawn, eligible)
        notes = (SPREAD,) if shape[1] > 2 else ()
    else:
        chances = _matrix("probabilities", whole, shape)
    if not np.all((chances >= 0.0) & (chances <= 1.0 + ROUNDING)) or np.any(chances[~eligible]):
        raise DataError("probabilities lie between 0 and 1, and are 0 where an arm is not eligible")
    if np.any(np.abs(chances.sum(axis=1) - 1.0) > ROUNDING):
        raise DataError("probabilities: those of a round do not add up to 1")
    if np.any(chances[np.arange(len(drawn)), drawn] <= 0.0):
        raise DataError("a round drew an arm of probability 0: check that the log is whole")
    return eligible, chances, notes


def _eligible(
    given: ArrayLike | None, drawn: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    eligible = np.ones(shape, np.bool_) if given is None else np.asarray(given, np.bool_)
    if eligible.shape != shape:
        raise DataError(f"eligible: has shape {eligible.shape} and needs {shape}")
    if not np.all(eligible[np.arange(len(drawn)), drawn]):
        raise DataError("eligible: a round drew an arm that was not eligible")
    return eligible


def _spread(propensity: Vector, drawn: NDArray[np.int64], eligible: NDArray[np.bool_]) -> Matrix:
    """What the drawn arm leaves, evenly over the others."""
    others = eligible.copy()
    others[np.arange(len(drawn)), drawn] = False
    share = (1.0 - propensity) / np.maximum(others.sum(axis=1), 1)
    chances: Matrix = others * share[:, None]
    chances[np.arange(len(drawn)), drawn] = propensity
    return chances


def _predictions(given: Mapping[str, Any] | None, shape: tuple[int, int]) -> Predictions | None:
    if given is None:
        return None
    unknown = set(given) - set(PREDICTED)
    if unknown or "quality" not in given:
        raise DataError(f"predictions: give quality, and of {', '.join(PREDICTED)} what is known")
    unsaid = np.full(shape, np.nan)
    return Predictions(
        *(_matrix(name, given[name], shape) if name in given else unsaid for name in PREDICTED)
    )


def _contexts(given: ArrayLike | None, rounds: int) -> Matrix | None:
    if given is None:
        return None
    x = np.asarray(given, dtype=np.float64)
    if x.ndim != 2 or len(x) != rounds or not np.all(np.isfinite(x)):
        raise DataError(f"x: give {rounds} contexts of finite numbers, (T, d)")
    return x


def _numbers(name: str, given: ArrayLike | None, rounds: int) -> Vector:
    """(T,) what is given, one number standing for all rounds."""
    if given is None:
        return np.full(rounds, _NUMBERS[name])
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        return np.full(rounds, float(values))
    if values.shape != (rounds,):
        raise DataError(f"{name}: has shape {values.shape}; there are {rounds} rounds")
    return values.copy()


def _words(name: str, given: Any, rounds: int) -> tuple[Any, ...]:
    if given is None or isinstance(given, str):
        return (_WORDS[name] if given is None else given,) * rounds
    words = tuple(given)
    if len(words) != rounds:
        raise DataError(f"{name}: there are {len(words)}, and {rounds} rounds")
    return words


def _matrix(name: str, given: ArrayLike, shape: tuple[int, int]) -> Matrix:
    matrix = np.asarray(given, dtype=np.float64)
    if matrix.shape != shape:
        raise DataError(f"{name}: has shape {matrix.shape} and needs {shape}, rounds by arms")
    return matrix.copy()
