"""A simulated cell in OpenAI's wire format: as one body, or as the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from banditroute.providers.scene import Cell
from banditroute.values import Arm

PIECES = 8  # into how many chunks a streamed text is cut


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer under its id; ``created`` in whole seconds since the epoch.

    ``simulated`` tells a client what the answer is worth, so that it can give honest feedback.
    """

    id: str
    created: int
    arm: Arm
    cell: Cell

    def body(self) -> dict[str, Any]:
        """The whole answer: a ``chat.completion``."""
        message: dict[str, Any] = {"role": "assistant", "content": self._content()}
        if self.cell.tool:
            message["tool_calls"] = [self._tool_call("{}")]
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason()}
        return self._head("chat.completion") | {"choices": [choice]} | self._tail()

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Role, content in pieces, finish_reason, usage: ``chat.completion.chunk`` objects."""
        yield self._chunk({"role": "assistant", "content": None if self.cell.tool else ""})
        for delta in self._deltas():
            yield self._chunk(delta)
        yield self._chunk({}, self._finish_reason())
        yield self._head("chat.completion.chunk") | {"choices": []} | self._tail()

    def _deltas(self) -> Iterator[dict[str, Any]]:
        if self.cell.tool:
            yield {"tool_calls": [{"index": 0} | self._tool_call("")]}
            yield {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
            return
        text = self.cell.text
        step = max(-(-len(text) // PIECES), 1)
        for start in range(0, len(text), step):
            yield {"content": text[start : start + step]}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice], "usage": None}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.arm.model}

    def _tail(self) -> dict[str, Any]:
        cell = self.cell
        usage: dict[str, Any] = {
            "prompt_tokens": cell.input_tokens,
            "completion_tokens": cell.output_tokens,
            "total_tokens": cell.input_tokens + cell.output_tokens,
        }
        if cell.cost_usd is not None:
            usage["cost"] = cell.cost_usd
        simulated = {"quality": cell.quality, "task": cell.task, "latency_s": cell.latency_s}
        return {"usage": usage, "simulated": simulated}

    def _content(self) -> str | None:
        return None if self.cell.tool else self.cell.text

    def _tool_call(self, arguments: str) -> dict[str, Any]:
        function = {"name": self.cell.tool, "arguments": arguments}
        return {"id": f"call_{self.id}", "type": "function", "function": function}

    def _finish_reason(self) -> str:
        if self.cell.truncated:
            return "length"
        return "tool_calls" if self.cell.tool else "stop"
