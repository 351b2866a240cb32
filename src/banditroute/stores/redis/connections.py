"""Connections that hear of it when their peer closes or resets them while they are idle.

redis-py's pools look for an orderly end only, and its cluster's client for none, so that the next
command goes nowhere; since Python 3.12 that may even be a TypeError or an AttributeError, as no
transport is left. These connect again instead, which is safe: nothing was sent yet.
"""

from __future__ import annotations

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection


class _Heedful(AbstractConnection):
    """Connects again, before a command is sent, where the peer has gone."""

    def should_reconnect(self) -> bool:  # what a node of a cluster asks
        marked: bool = super().should_reconnect()  # type: ignore[no-untyped-call]
        return marked or self._forsaken()

    async def can_read(self) -> bool:  # what a pool asks: yes is no good on an idle connection
        return self._forsaken() or await super().can_read()

    def _forsaken(self) -> bool:
        if self._reader is None or self._writer is None:  # not connected, and does so when asked
            return False
        return self._reader.at_eof() or self._writer.is_closing()


class TCPConnection(_Heedful, Connection):
    """To a host and a port."""


class TLSConnection(_Heedful, SSLConnection):
    """The same, encrypted."""


class UnixConnection(_Heedful, UnixDomainSocketConnection):
    """To a socket in the file system."""


class ServiceConnection(_Heedful, SentinelManagedConnection):
    """To the primary that sentinels name."""


class TLSServiceConnection(_Heedful, SentinelManagedSSLConnection):
    """The same, encrypted."""
