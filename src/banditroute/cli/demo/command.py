"""The command: build, serve, drive, show."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.live import Live

from banditroute.bootstrap import build
from banditroute.cli import logs
from banditroute.cli.console import note, out
from banditroute.cli.demo import picture as pictures
from banditroute.cli.demo import screen
from banditroute.cli.demo.driver import drive
from banditroute.cli.demo.stage import Stage, built_in, from_data
from banditroute.cli.demo.tally import Cells, Tally
from banditroute.cli.serve import listen, web_server

REQUESTS = 3000


def demo(
    data: Annotated[
        Path | None, typer.Option(help="A data folder to replay; without it, a small world.")
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many to send: {REQUESTS}, or the folder's prompts once."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free port.")] = 0,
    store: Annotated[
        str | None, typer.Option(help="Keep what is learned here; else it goes with the demo.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For the prompts, the world and the draws.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result to this file as JSON.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the run to a .png, .svg or .pdf file.")
    ] = None,
) -> None:
    """Watch the router learn: real HTTP, simulated or recorded arms, honest feedback.

    A data folder holds prompts.parquet (prompt_id, prompt, task), outcomes.parquet (prompt_id,
    arm, quality, and where known cost_usd, input_tokens, output_tokens, latency_s) and
    pool.json; its prompts are answered as recorded. Waiting is simulated, not spent. At the
    end, the router stands beside three baselines on the same prompts.
    """
    if picture is not None:
        pictures.check(picture)
    logs.configure("error", "text")
    with TemporaryDirectory(prefix="banditroute-") as folder:
        url = store or f"sqlite:///{folder}/demo.db"
        note("reading the prompts and asking every arm, for the baselines")
        stage = (
            built_in(requests or REQUESTS, seed, url)
            if data is None
            else from_data(data, requests, seed, url)
        )
        tally = asyncio.run(_play(stage, port, seed))
    console = out()
    console.print(screen.arms(tally, len(tally.cells.arm_ids)))
    console.print(screen.result(tally))
    console.print(screen.headline(tally), soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(tally.summary(), indent=2) + "\n")
    if picture is not None:
        pictures.draw(tally, picture)
        note(f"picture: {picture}")


async def _play(stage: Stage, port: int, seed: int) -> Tally:
    application = build(
        stage.settings,
        scenes={stage.provider: stage.scene},
        entropy=np.random.default_rng(seed).bytes,
    )
    tally = _tally(stage)
    await application.engine.start()
    server = web_server(application)
    with listen("127.0.0.1", port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        note(f"serving on {url}")
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            with Live(screen.Screen(tally, len(stage.prompts)), console=out(), transient=True):
                await drive(url, stage.router.name, stage.prompts, tally)
        finally:
            server.should_exit = True
            await serving
    return tally


def _tally(stage: Stage) -> Tally:
    value, patience = stage.router.answer_value_usd, stage.router.patience_s
    cells = Cells.of(
        stage.scene,
        stage.arms,
        stage.prompts,
        answer_value_usd=value,
        patience_s=patience,
    )
    return Tally(cells, value, patience)
