"""A real server on loopback, in a thread of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn

from banditroute.bootstrap import Application
from banditroute.cli.serve import listen, web_server
from banditroute.config import default_text


@contextmanager
def listening(server: uvicorn.Server) -> Iterator[str]:
    """Serve in a thread, on any free port; gives the URL."""
    with listen("127.0.0.1", 0) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def routing(application: Application) -> Iterator[str]:
    """Serve a router; gives the URL of its API."""
    with listening(web_server(application)) as url:
        yield f"{url}/v1"


def shipped_text(store: str) -> str:
    """The shipped configuration on another store; its arms answer at once and never fail."""
    text = default_text()
    changes = {
        'url = "sqlite:///banditroute.db"': f'url = "{store}"',
        "#time_scale = 1.0": "time_scale = 0.0",
        "simulated.failure_rate = 0.": "simulated.failure_rate = 0.0",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text
