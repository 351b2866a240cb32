"""What is kept of a prompt with its decision, where the operator asked for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

MOST_BYTES = 65_536  # a longer conversation is not kept: a store's decisions have a bound


def kept(body: Mapping[str, Any]) -> str | None:
    """A request's messages as JSON; None if they are longer than ``MOST_BYTES``, or no JSON."""
    try:
        text = orjson.dumps(body["messages"])
    except (KeyError, TypeError):
        return None
    return text.decode() if len(text) <= MOST_BYTES else None
