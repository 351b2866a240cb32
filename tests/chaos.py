"""A network that misbehaves on command: a TCP proxy between a client and one server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from patience import PATIENCE_S

T = TypeVar("T")
Address = tuple[str, int]

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST instead of FIN


class ChaosProxy:
    """Carries bytes between its clients and one server, and is told how to fail at it.

    It lives in a thread and an event loop of its own, so that synchronous and asynchronous
    tests can both use it. A control may be called from any thread, and has taken effect when
    it returns. A *chunk* is what one read from a socket gave: a small reply is one chunk.
    """

    def __init__(self, server: Address) -> None:
        self.connections = 0  # ever accepted
        self.bytes_up = 0  # towards the server; counted before they go on
        self.bytes_down = 0  # towards clients
        self.replies_dropped = 0
        self._server = server
        self._delay_s = 0.0
        self._drops_left, self._drops_to = 0, b""
        self._lit = asyncio.Event()  # not in a black hole
        self._lit.set()
        self._links: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos", daemon=True)
        # Holds the port, without listening on it, while the proxy refuses connections.
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        self._holder.close()

    @property
    def address(self) -> Address:
        return HOST, self.port

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def open_connections(self) -> int:
        return len(self._links)

    def target(self, host: str, port: int) -> None:
        """Connect new connections to this server; those that are open stay where they are."""
        self._server = (host, port)

    def cut(self) -> None:
        """Reset every connection and refuse new ones, until ``heal``."""
        self._do(self._refuse())

    def reset_connections(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._do(self._reset())

    def delay(self, seconds: float) -> None:
        """Hold every chunk for a client so long, also those held now; 0 ends it."""
        self._delay_s = seconds

    def blackhole(self) -> None:
        """Swallow what comes, both ways, on connections that stay open, until ``heal``.

        New connections are accepted, and as mute. What was swallowed is not sent later.
        """
        self._do(self._darken())

    def heal(self) -> None:
        """End ``cut`` and ``blackhole``; a delay and replies yet to drop have their own end."""
        self._do(self._listen())

    def drop_replies(self, n: int, *, to: bytes = b"") -> None:
        """Swallow the next n chunks for clients, and reset the connection of each.

        The command was carried out and its reply is lost, n times, also when the client
        tries again on a new connection. With ``to``, only replies count of which the last
        chunk that their connection asked contains those bytes (``b"INCR"``); otherwise a
        handshake's do too.
        """
        self._drops_to, self._drops_left = to, n

    def _do(self, control: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(control, self._loop).result(PATIENCE_S)

    async def _listen(self) -> None:
        self._lit.set()
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(128)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._reset()

    async def _reset(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _darken(self) -> None:
        self._lit.clear()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it went away while it waited
            return
        self.connections += 1
        link = _Link(self, client)
        task = self._loop.create_task(link.run())
        self._links.add(task)
        task.add_done_callback(link.close)  # also when it is cancelled before it begins
        task.add_done_callback(self._links.discard)

    def _drops(self, asked: bytes) -> bool:
        if not (self._drops_left and self._drops_to in asked):
            return False
        self._drops_left -= 1
        self.replies_dropped += 1
        return True


class _Link:
    """One client's connection, and the one to the server that was made for it."""

    def __init__(self, proxy: ChaosProxy, client: socket.socket) -> None:
        self.proxy, self.loop = proxy, proxy._loop
        self.client = client
        self.upstream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.asked = b""
        self.replies: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self.ended_well = False
        for end in (self.client, self.upstream):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self) -> None:
        try:
            await self.loop.sock_connect(self.upstream, self.proxy._server)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry_requests())
                directions.create_task(self._collect_replies())
                directions.create_task(self._deliver_replies())
        except* EOFError:
            ended_well = True
        except* OSError:
            ended_well = False
        await self.proxy._lit.wait()  # neither end hears from a black hole that it ended
        self.ended_well = ended_well

    def close(self, _: object) -> None:
        for end in (self.client, self.upstream):
            if not self.ended_well:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()

    async def _carry_requests(self) -> None:
        while chunk := await self.loop.sock_recv(self.client, 65536):
            if self.proxy._lit.is_set():
                self.asked = chunk
                self.proxy.bytes_up += len(chunk)
                await self.loop.sock_sendall(self.upstream, chunk)
        raise EOFError

    async def _collect_replies(self) -> None:
        chunk = b"something"
        while chunk:
            chunk = await self.loop.sock_recv(self.upstream, 65536)
            if chunk and not self.proxy._lit.is_set():
                continue
            if chunk and self.proxy._drops(self.asked):
                raise ConnectionResetError
            self.replies.put_nowait((self.loop.time(), chunk))

    async def _deliver_replies(self) -> None:
        while True:
            arrived_s, chunk = await self.replies.get()
            while (left_s := arrived_s + self.proxy._delay_s - self.loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(min(left_s, 0.005))  # the delay may change meanwhile
            if not chunk:
                raise EOFError
            if self.proxy._lit.is_set():
                self.proxy.bytes_down += len(chunk)
                await self.loop.sock_sendall(self.client, chunk)


def _bound(port: int) -> socket.socket:
    """A socket bound to the port, next to others of ours, that does not listen yet."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((HOST, port))
    made.setblocking(False)
    return made
