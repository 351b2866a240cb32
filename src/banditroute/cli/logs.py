"""Logs to stderr: a constant sentence plus fields, as text or as JSON lines."""

from __future__ import annotations

import json
import logging
from typing import Literal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),
    "color_message",  # uvicorn's, for terminals
}


class Fields(logging.Formatter):
    """``time level logger: sentence key=value …``."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line of text."""
        line = super().format(record)
        fields = " ".join(f"{name}={value}" for name, value in extra(record).items())
        return f"{line} {fields}" if fields else line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line of JSON."""
        content = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: str(value) for name, value in extra(record).items()},
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def extra(record: logging.LogRecord) -> dict[str, object]:
    """The fields that were logged beside the sentence."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send all logs to stderr in the given form."""
    handler = logging.StreamHandler()
    text = Fields("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs urls
