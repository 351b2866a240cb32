"""What the sockets of a server do to an answer on its way."""

import asyncio
import socket

import pytest

from banditroute.cli.serve import listen

pytestmark = pytest.mark.anyio


async def test_an_answer_is_not_held_back_until_its_headers_are_acknowledged():
    """Nagle's algorithm is off, or every answer on a kept connection would wait for 40 ms."""
    delays = asyncio.get_running_loop().create_future()

    async def look(_, writer):
        accepted = writer.get_extra_info("socket")
        delays.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(look, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert not await delays
            writer.close()
            await writer.wait_closed()
