"""An upstream on loopback that does exactly what a script of bytes says."""

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager, suppress

FIN, RST, WAIT = "fin", "rst", "wait for the client to leave"


class FakeUpstream:
    """Plays one script per request, the last one again and again.

    A script is a list of steps: bytes to send, seconds to pause, an event to wait for, FIN, RST
    or WAIT.
    """

    def __init__(self, scripts):
        self.scripts = list(scripts)
        self.requests = []  # (head as text, parsed JSON body)
        self.connections = 0
        self.asked = asyncio.Event()  # some request has come
        self.left = asyncio.Event()  # some client closed its connection
        self._tasks = set()

    @property
    def bodies(self):
        return [body for _, body in self.requests]

    async def serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        with suppress(asyncio.CancelledError):  # by stop(); asyncio's streams would log it
            await self._converse(reader, writer)

    async def _converse(self, reader, writer):
        try:
            while True:
                await self._read_request(reader)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                for step in script:
                    await self._play(step, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _read_request(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.partition(":")[2])
            for line in head.splitlines()
            if line.lower().startswith("content-length")
        )
        self.asked.set()
        self.requests.append((head, json.loads(await reader.readexactly(length))))

    async def _play(self, step, reader, writer):
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif step == WAIT:
            while await reader.read(1024):
                pass
            raise ConnectionResetError
        else:
            if step == RST:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            writer.close()
            raise ConnectionResetError

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def fake_upstream(*scripts):
    upstream = FakeUpstream(scripts)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream.base_url = f"http://127.0.0.1:{port}/v1"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()


def unused_url():
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def answer(status, body, **headers):
    """A whole HTTP response; keyword headers have - for _."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json"} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in given.items())
    head = f"HTTP/1.1 {status} Whatever\r\ncontent-length: {len(content)}\r\n{lines}\r\n"
    return head.encode() + content


def completion(content="hello"):
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "invented_tomorrow": {"kept": True},
    }


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def piece(data):
    """One chunk of a chunked HTTP body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def delta(content=None, finish_reason=None, index=0):
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "choices": [choice]}


USAGE = {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3}}


def event(data):
    """A server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def events(*data):
    """Each event as its own chunk of the body."""
    return [piece(event(one)) for one in data]


DONE = "[DONE]"
WHOLE_STREAM = [
    STREAM_HEAD,
    *events(delta("hel"), delta("lo"), delta(finish_reason="stop"), USAGE, DONE),
    STREAM_END,
]
