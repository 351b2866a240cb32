"""Server-sent events, taken apart as they arrive."""

from __future__ import annotations


class EventTooLongError(ValueError):
    """An event grew past the limit without ending."""


class EventParser:
    """Turns the bytes of a ``text/event-stream`` into the data of its events.

    Follows the WHATWG algorithm: lines end in LF, CRLF or CR, an event ends at an empty line,
    several ``data`` lines are joined by LF, comments and other fields are skipped. Data stays
    bytes, so that a character cut in two by the network is whole again before it is decoded.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._tail = bytearray()  # the line that has not ended yet
        self._data: list[bytes] = []  # the data lines of the event that has not ended yet
        self._size = 0
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of every event that ``piece`` completes. Raises EventTooLongError."""
        searched = max(len(self._tail) - 1, 0)
        self._tail += piece
        # A CR that comes last may be half of a CRLF: it ends its line when more has come.
        last_cr = self._tail.rfind(b"\r", searched, len(self._tail) - 1)
        end = max(self._tail.rfind(b"\n", searched), last_cr) + 1
        lines = bytes(self._tail[:end]).splitlines()
        del self._tail[:end]
        events = [event for line in lines if (event := self._take(line)) is not None]
        if self._size + len(self._tail) > self._limit:
            raise EventTooLongError
        return events

    def close(self) -> list[bytes]:
        """What was left without its empty line when the stream ended; many servers omit it."""
        lines = [*bytes(self._tail).splitlines(), b""]
        self._tail.clear()
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> bytes | None:
        """Take one line in; the data of the event it ends, if it ends one that has data."""
        if self._at_start:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
        return None

    def _dispatch(self) -> bytes | None:
        event = b"\n".join(self._data) if self._data else None
        self._data = []
        self._size = 0
        return event
