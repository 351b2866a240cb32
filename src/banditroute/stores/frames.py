"""A file as a sequence of frames, with a digest at its end that tells whether it is whole.

A frame is a msgpack ``bin 32``: the byte 0xc6 and the length of the rest (big-endian); then the
CRC-32 of a msgpack value (little-endian), and that value. The last frame holds ``["end",
digest]``, the BLAKE2b digest of every byte before it, and nothing comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import Any, TypeAlias
from zlib import crc32

import msgpack

from banditroute.errors import StoreError

MOST_FRAME_BYTES = 1 << 28
"""A frame holds a page of values, or one checkpoint: of 100 arms over 400 features, 200 MB."""

_BIN_32 = 0xC6
_HEAD = Struct(">BI")
_CRC_BYTES = 4
_DIGEST_BYTES = 32
_END = "end"

Write: TypeAlias = Callable[[bytes], object]
Read: TypeAlias = Callable[[int], bytes]
"""``read(n)`` gives n bytes, or what is left where that is less."""


class FrameWriter:
    """Writes frames through a function. ``count`` is how many bytes it wrote so far."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._digest = blake2b(digest_size=_DIGEST_BYTES)
        self.count = 0

    def write(self, value: Any) -> None:
        """Write a value. Raises StoreError for one that no reader would take."""
        body: bytes = msgpack.packb(value)
        size = _CRC_BYTES + len(body)
        if size > MOST_FRAME_BYTES:
            raise StoreError(f"a checkpoint of {size} bytes is too large for a file")
        frame = _HEAD.pack(_BIN_32, size) + crc32(body).to_bytes(_CRC_BYTES, "little") + body
        self._write(frame)
        self._digest.update(frame)
        self.count += len(frame)

    def end(self) -> None:
        """Write the digest of everything before."""
        self.write([_END, self._digest.digest()])


class FrameReader:
    """Reads what a :class:`FrameWriter` wrote. ``count`` is how many bytes it read so far."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._digest = blake2b(digest_size=_DIGEST_BYTES)
        self.count = 0

    def read(self) -> Any:
        """The next value. Raises StoreError where there is none, or a damaged one."""
        marker, size = _HEAD.unpack(self._take(_HEAD.size))
        if marker != _BIN_32 or not _CRC_BYTES < size <= MOST_FRAME_BYTES:
            raise self.damaged()
        frame = self._take(size)
        checksum, body = frame[:_CRC_BYTES], frame[_CRC_BYTES:]
        if crc32(body).to_bytes(_CRC_BYTES, "little") != checksum:
            raise self.damaged()
        return msgpack.unpackb(body)

    def end(self) -> None:
        """Raise StoreError unless the file ends here, and is what was written."""
        digest = self._digest.digest()
        if self.read() != [_END, digest] or self._read(1):
            raise self.damaged()

    def damaged(self) -> StoreError:
        """What to raise for a file that is not what was written."""
        return StoreError(f"the file is damaged (before byte {self.count}): export it again")

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise StoreError(
                f"the file is cut short (at byte {self.count + len(data)}): export it again"
            )
        self._digest.update(data)
        self.count += size
        return data
