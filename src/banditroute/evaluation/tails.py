"""What is whole of a file of lines that may have been cut off anywhere."""

from __future__ import annotations

import zlib
from pathlib import Path

BLOCK_BYTES = 1 << 20
_GZIP = 31  # zlib's word for a gzip member with header and checksum


def tail(path: Path) -> tuple[int, bytes]:
    """How many bytes of a file are whole lines, and the last of these."""
    with path.open("rb") as file:
        end = start = path.stat().st_size
        text = b""
        while start > 0 and text.count(b"\n") < 2:
            start = max(start - BLOCK_BYTES, 0)
            file.seek(start)
            text = file.read(min(BLOCK_BYTES, end - start - len(text))) + text
    whole = text[: text.rfind(b"\n") + 1]
    return start + len(whole) if whole else 0, _last_line(whole)


def packed_tail(path: Path) -> tuple[int, bytes]:
    """How many bytes of a file are whole gzip members, and the last line of these."""
    size, line, text, read = 0, b"", b"", 0
    unpacker = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            read += len(block)
            while block:
                try:
                    text = _last_line(text + unpacker.decompress(block))
                except zlib.error:
                    return size, line
                if not unpacker.eof:
                    break
                block = unpacker.unused_data
                size, line = read - len(block), text
                unpacker = zlib.decompressobj(_GZIP)
    return size, line


def _last_line(text: bytes) -> bytes:
    """The last whole line, and what follows it."""
    end = text.rfind(b"\n")
    return text[text.rfind(b"\n", 0, max(end, 0)) + 1 :]
