"""The kinds of value that keys hold, each with its bounds and its words for a refusal."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, Strict, StringConstraints

from banditroute.core.allowances import LEAST_SHARE


def _spelled(pattern: str, words: str) -> AfterValidator:
    """Accept what matches the whole pattern; refuse the rest in words."""
    compiled = re.compile(pattern)

    def spelled(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"must be {words}")
        return value

    return AfterValidator(spelled)


RouterName = Annotated[
    str,
    _spelled(
        r"[a-z0-9][a-z0-9._-]{0,63}",
        "1 to 64 small letters, digits and . _ -, the first a letter or digit",
    ),
]
ArmId = Annotated[
    str,
    _spelled(
        r"[A-Za-z0-9][A-Za-z0-9._:/@+()-]{0,127}",
        "1 to 128 letters, digits and . _ : / @ + ( ) -, the first a letter or digit",
    ),
]
Word = Annotated[
    str,
    _spelled(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "1 to 64 letters, digits and . _ -, the first a letter or digit",
    ),
]
TaskName = Annotated[
    str,
    _spelled(
        r"[^\s\W](?:[^\n\r\t]{0,198}\S)?", "1 to 200 characters on one line, without outer spaces"
    ),
]
HeaderName = Annotated[
    str, _spelled(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "named as HTTP headers are: letters, digits, -")
]
KeyHash = Annotated[
    str, _spelled(r"[0-9a-f]{64}", "the 64 hex digits that `banditroute keys new` prints")
]
Text = Annotated[str, StringConstraints(min_length=1)]
# Strict(False) lets a TOML array become a tuple; its items stay strict.
Words: TypeAlias = Annotated[tuple[Word, ...], Strict(False)]
Price = Annotated[float, Field(ge=0)]
Dollars = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Cap = Annotated[float, Field(ge=LEAST_SHARE, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]  # TOML integers are signed and 64 bits wide


def _sendable(value: SecretStr) -> SecretStr:
    """Refuse what cannot stand in a header. The message must not show it."""
    text = value.get_secret_value()
    if not text.isprintable() or not text.isascii():
        raise ValueError(
            "holds a line break, or a character that is no printable ASCII; "
            "check the environment variable"
        )
    return value


Secret = Annotated[SecretStr, AfterValidator(_sendable)]
