"""Logs that a served router made over HTTP, of prompts whose every answer is known.

One process runs ``banditroute serve`` on a data folder; clients in this one send its prompts,
post what each answer was worth, and remember which prompt each decision was for. So the true
value of any policy on the log is known, and what the log says of it can be checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from banditroute.datasets import Dataset, load_dataset
from banditroute.simulation.problem import prices

CLIENTS = 8
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A router's log: ``store`` is its url, ``prompts`` the data row of each decision by its id."""

    store: str
    data: Dataset
    prompts: Mapping[str, int]


@contextmanager
def served_log(folder: Path, requests: int, seed: int) -> Iterator[Served]:
    """Serve the first ``requests`` prompts of an order drawn by ``seed``; the log goes after."""
    data = load_dataset(folder)
    order = np.random.default_rng(seed).permutation(len(data.prompts))[:requests].tolist()
    with TemporaryDirectory(prefix="banditroute-") as home:
        (Path(home) / "config.toml").write_text(_config(folder, data, seed), encoding="utf-8")
        with _serving(Path(home)) as url:
            prompts = asyncio.run(_drive(url, data, order))
        yield Served(f"sqlite:///{home}/log.db", data, prompts)


def _config(folder: Path, data: Dataset, seed: int) -> str:
    text = json.dumps  # a JSON text is a TOML text
    arms = [
        f"[[arms]]\nid = {text(name)}\nprovider = 'replay'\nmodel = {text(name)}\n"
        f"timeout_s = 3600\n"
        f"input_usd_per_mtok = {prices(data, row)[0]!r}\n"
        f"output_usd_per_mtok = {prices(data, row)[1]!r}\n"
        for row, name in enumerate(data.arms)
    ]
    tasks = [f"[[tasks]]\nname = {text(task)}\n" for task in sorted(set(filter(None, data.tasks)))]
    return "\n".join(
        [
            "[store]\nurl = 'sqlite:///log.db'\n",
            "[logging]\nlevel = 'warning'\n",
            f"[[routers]]\nname = 'auto'\npolicy = 'thompson'\nseed = {seed}\n",
            "[[providers]]\nname = 'replay'\nkind = 'simulated'\ntime_scale = 0.0",
            f"data = {text(str(folder.resolve()))}\n",
            *arms,
            *tasks,
        ]
    )


@contextmanager
def _serving(home: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "banditroute", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield _ready(process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _ready(process: subprocess.Popen[bytes]) -> str:
    said = b""
    for line in process.stdout or ():
        said += line
        if found := re.search(rb"listens on (http://\S+)", line):
            url = found.group(1).decode()
            break
    else:
        raise SystemExit(f"the server did not start: {said.decode()}")
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return url
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server was never ready")


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    """Post until it is taken: 503 says when to come again."""
    while (answer := await client.post(path, json=body)).status_code == 503:  # noqa: ASYNC110
        await asyncio.sleep(float(answer.headers.get("retry-after", 1.0)))
    answer.raise_for_status()


async def _drive(url: str, data: Dataset, order: list[int]) -> dict[str, int]:
    """Ask every prompt, and say what its answer was worth."""
    column = {name: at for at, name in enumerate(data.arms)}
    rows, prompts = iter(order), {}
    async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:

        async def ask() -> None:
            for row in rows:
                body = {
                    "model": "auto",
                    "messages": [{"role": "user", "content": data.prompts[row]}],
                    "banditroute": {"task": data.tasks[row]} if data.tasks[row] else {},
                }
                answer = (await client.post("/v1/chat/completions", json=body)).raise_for_status()
                said = answer.json()
                prompts[said["banditroute"]["decision_id"]] = row
                score = float(data.quality[row, column[said["model"]]])
                word = {"id": said["id"], "score": score}
                await _post(client, "/feedback", word)

        await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    return prompts
