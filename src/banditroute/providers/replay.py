"""A scene of recorded answers: real prompts with what every arm really scored, cost and took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers.scene import Cell, estimated_tokens, last_user_text
from banditroute.values import Arm, Matrix


class Recording(Protocol):
    """What Replay reads of a :class:`~banditroute.datasets.Dataset`; matrices are (N, K)."""

    @property
    def prompts(self) -> Sequence[str]:
        """N texts."""

    @property
    def tasks(self) -> Sequence[str | None]:
        """N labels."""

    @property
    def arms(self) -> Sequence[str]:
        """K names."""

    @property
    def quality(self) -> Matrix:
        """Quality in [0, 1]."""

    @property
    def cost_usd(self) -> Matrix | None:
        """Dollars, NaN where unknown."""

    @property
    def latency_s(self) -> Matrix | None:
        """Seconds, NaN where unknown."""

    @property
    def input_tokens(self) -> Matrix | None:
        """Tokens, NaN where unknown."""

    @property
    def output_tokens(self) -> Matrix | None:
        """Tokens, NaN where unknown."""


class Replay:
    """Answers the prompts of a data folder as recorded; a prompt is known by its exact text.

    Arms are found by ``arm.model``. Unknown latency is 0 s. Unknown input tokens are
    estimated; unknown output tokens are as many as make up the recorded cost at the arm's
    prices, 0 where the cost is unknown too. ``max_tokens`` and tools change nothing: the past
    is what it was. Of prompts with the same text the first one is played.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._columns = {arm: column for column, arm in enumerate(recording.arms)}
        rows = enumerate(recording.prompts)
        self._rows = {prompt: row for row, prompt in reversed(list(rows))}

    def answer(self, arm: Arm, body: Mapping[str, Any]) -> Cell:
        """The recorded answer; see :class:`~banditroute.providers.scene.Scene`."""
        column = self._columns.get(arm.model)
        if column is None:
            raise UpstreamError(
                f"arm {arm.id}: the data folder has no answers of model {arm.model}",
                arm_id=arm.id,
                fault=UpstreamFault.NOT_FOUND,
            )
        row = self._rows.get(last_user_text(body))
        if row is None:
            raise UpstreamError(
                f"arm {arm.id}: this replay only knows the prompts of its data folder",
                arm_id=arm.id,
                fault=UpstreamFault.BAD_REQUEST,
                param="messages",
            )
        return self._cell(arm, body, row, column)

    def _cell(self, arm: Arm, body: Mapping[str, Any], row: int, column: int) -> Cell:
        played = self._recording
        cost_usd = _known(played.cost_usd, row, column)
        input_tokens = _known(played.input_tokens, row, column)
        output_tokens = _known(played.output_tokens, row, column)
        if input_tokens is None:
            input_tokens = estimated_tokens(body)
        if output_tokens is None:
            output_tokens = _tokens_worth(arm, input_tokens, cost_usd)
        return Cell(
            quality=float(played.quality[row, column]),
            input_tokens=round(input_tokens),
            output_tokens=round(output_tokens),
            latency_s=_known(played.latency_s, row, column) or 0.0,
            cost_usd=cost_usd,
            fails=False,
            text=f"(the recorded answer of {arm.model}; its text was not kept)",
            task=played.tasks[row],
        )


def _known(matrix: Matrix | None, row: int, column: int) -> float | None:
    if matrix is None or np.isnan(matrix[row, column]):
        return None
    return float(matrix[row, column])


def _tokens_worth(arm: Arm, input_tokens: float, cost_usd: float | None) -> float:
    """How many output tokens explain what a call cost beyond its input."""
    if cost_usd is None or arm.output_usd_per_mtok <= 0:
        return 0.0
    return max(cost_usd - arm.cost_usd(input_tokens, 0), 0.0) / arm.output_usd_per_mtok * 1e6
