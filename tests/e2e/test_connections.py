"""What the sockets of a server do to an answer on its way."""

import asyncio
import multiprocessing
import socket

import pytest
from patience import PATIENCE_S

from banditroute.cli.serve import listen, web_config
from banditroute.config.schema import ServerSettings


def holds_back(listener: socket.socket) -> bool:
    """Whether a server on the listener holds back what it writes to the next client."""

    async def serve() -> bool:
        delays = asyncio.get_running_loop().create_future()

        async def look(_, writer):
            accepted = writer.get_extra_info("socket")
            delays.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(look, sock=listener):
            return await delays

    return asyncio.run(serve())


def answer(listener, pipe):
    pipe.send(holds_back(listener))


def elsewhere(listener: socket.socket) -> bool:
    """The same of a process that the listener is handed over to, as to a worker."""
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=answer, args=(listener, there))
    process.start()
    there.close()  # so that a process that dies is no process that is slow
    try:
        assert here.poll(PATIENCE_S)
        return here.recv()
    finally:
        process.kill()
        process.join()
        here.close()


@pytest.mark.parametrize("server", [holds_back, elsewhere])
def test_an_answer_is_not_held_back_until_its_headers_are_acknowledged(server):
    """Nagle's algorithm is off, or every answer on a kept connection would wait for 40 ms."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        assert not server(listener)


def test_an_idle_connection_outlives_those_of_clients_and_load_balancers():
    """A server that closes first resets the request that is on its way then."""

    def kept_s(settings: ServerSettings) -> int:
        return web_config(lambda: None, settings).timeout_keep_alive

    assert kept_s(ServerSettings()) > 60  # httpx keeps them for 5 s, load balancers for 60 s
    assert kept_s(ServerSettings(keep_alive_s=620)) == 620
