"""``banditroute serve``: the router, listening."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from rich.console import Console

from banditroute.bootstrap import Application, build
from banditroute.cli import logs
from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    complain,
    out,
    settings_from,
)
from banditroute.cli.workers import Supervisor, worker
from banditroute.config import ServerSettings, Settings
from banditroute.engine import Engine
from banditroute.errors import ConfigError

BACKLOG = 2048
SILENT_S = 60  # a worker that is silent for longer is replaced; one that still starts is silent


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[
        str | None, typer.Option(help="Listen here instead of \\[server] host.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Instead of \\[server] port; 0 is any.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes, instead of \\[server] workers.")
    ] = None,
    store: StoreOption = None,
) -> None:
    r"""Start the router.

    Reads config.toml (or the shipped example where there is none), checks it whole, opens the
    store, and serves until it is told to stop (Ctrl-C or SIGTERM); requests that are running
    then get \[server] shutdown_grace_s to finish. Several workers share the port and the store,
    and one that dies is replaced.
    """
    reread = partial(settings_from, config, store=store, workers=workers)
    settings = reread()
    logs.configure(settings.logging.level, settings.logging.format)
    server = settings.server
    listener = listen(host or server.host, server.port if port is None else port)
    with listener:
        if server.workers == 1:
            asyncio.run(run(build(settings, reread=reread), listener, out()))
        else:
            run_workers(settings, reread, listener, out())


async def run(application: Application, listener: socket.socket, console: Console) -> None:
    """Serve on a bound socket until told to stop. Raises StoreError if the store cannot open."""
    await application.engine.start()  # before the server, so that what is wrong is said plainly
    greet(application, url_of(listener), console)
    for stop in (signal.SIGINT, signal.SIGTERM):
        # The server stops on these by itself, and raises them again when it has: that is fine.
        signal.signal(stop, lambda *_: None)
    await web_server(application).serve(sockets=[listener])


def run_workers(
    settings: Settings,
    reread: Callable[[], Settings],
    listener: socket.socket,
    console: Console,
) -> None:
    """Serve on a bound socket with several processes until told to stop.

    Raises StoreError if the store can never be used: that is found out here, once, before the
    first worker starts.
    """
    application = build(settings)
    asyncio.run(try_out(application.engine))
    config = web_config(
        partial(worker, settings, reread),
        settings.server,
        factory=True,
        workers=settings.server.workers,
        timeout_worker_healthcheck=SILENT_S,
    )
    supervisor = Supervisor(config, [listener])  # from here on a signal stops it in good order
    greet(application, url_of(listener), console)
    try:
        supervisor.run()
    finally:
        supervisor.terminate_all()  # nothing new when it ended well; nobody is ever left behind
    if supervisor.failed:
        complain("a worker could not start; the log says why")
        raise typer.Exit(1)


async def try_out(engine: Engine) -> None:
    """Start an engine and stop it. Raises StoreError as :meth:`Engine.start` does."""
    await engine.start()
    await engine.stop()


class WebServer(uvicorn.Server):
    """Waits for nobody after a second Ctrl-C: since Python 3.12 uvicorn would, for a connection."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, or do so at once."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.transport.abort()


def web_server(application: Application) -> WebServer:
    """The web server of an application, in this process."""
    return WebServer(web_config(application.http, application.settings.server))


def web_config(app: Callable[..., Any], server: ServerSettings, **more: Any) -> uvicorn.Config:
    """How to serve an application; the web server's logs are the application's."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_keep_alive=round(server.keep_alive_s),
        timeout_graceful_shutdown=round(server.shutdown_grace_s),
        **more,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address. Raises ConfigError if that is not to be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # TCP by name: on any other socket asyncio leaves Nagle's algorithm on, which holds an
        # answer's body back until the client has acknowledged its headers (40 ms on Linux).
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)  # who connects from now on waits for the server to start
        except OSError:
            listener.close()
            raise
    except OSError as error:
        problem = f"cannot listen on {host} port {port}: {error.strerror}; try --port or --host"
        raise ConfigError([problem], "[server]") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def greet(application: Application, url: str, console: Console) -> None:
    """Say where the router listens, and what to try first."""
    settings, engine = application.settings, application.engine
    console.print(
        f"[bold]banditroute[/] listens on [bold]{url}[/]  (API docs: {url}/docs)", soft_wrap=True
    )
    for name, spec in engine.routers.items():
        arms = ", ".join(engine.in_force(name).roster.ids)
        console.print(
            f"  router [bold]{name}[/] ({spec.rules.policy.spec}) chooses among {arms}",
            soft_wrap=True,
        )
    console.print(f"  learns in {settings.store.shown_url}\n")
    first = next(iter(engine.routers))
    key = " -H 'authorization: Bearer KEY'" if settings.keys else ""
    console.print(
        f"  curl {url}/v1/chat/completions{key} -H 'content-type: application/json' \\\n"
        f'    -d \'{{"model": "{first}", "messages": [{{"role": "user", "content": "Hi!"}}]}}\'\n',
        markup=False,
        soft_wrap=True,
    )
