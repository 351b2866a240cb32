"""The world of a demo: simulated arms and prompts, built in or from a data folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from banditroute.config import (
    ArmSettings,
    RouterSettings,
    Settings,
    SimulatedProviderSettings,
    StoreSettings,
    TaskSettings,
    default_text,
    parse,
)
from banditroute.datasets import Dataset, load_dataset
from banditroute.providers.prompts import demo_prompts
from banditroute.providers.replay import Replay
from banditroute.providers.scene import Scene
from banditroute.providers.world import World
from banditroute.simulation.problem import prices
from banditroute.values import Arm

LONGEST_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing a client asks, and the kind of request it says it is."""

    text: str
    task: str | None

    def body(self) -> dict[str, Any]:
        """The chat request, as a client sends it."""
        wishes = {} if self.task is None else {"banditroute": {"task": self.task}}
        return {"messages": [{"role": "user", "content": self.text}], **wishes}


@dataclass(frozen=True, slots=True)
class Stage:
    """Settings to build the router from, the scene its provider plays, and the prompts."""

    settings: Settings
    provider: str
    scene: Scene
    prompts: tuple[Prompt, ...]

    @property
    def router(self) -> RouterSettings:
        """The router that is driven: the first."""
        return self.settings.routers[0]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that the router chooses among."""
        return tuple(arm.to_arm() for arm in self.settings.arms_of(self.router))


def built_in(requests: int, seed: int, store: str) -> Stage:
    """The shipped configuration's simulated arms, without real waiting, and built-in prompts."""
    settings = parse(default_text(), {}, "the shipped config.toml")
    provider = settings.providers[0].model_copy(update={"time_scale": 0.0})
    changes = {"store": StoreSettings(url=store), "providers": (provider,)}
    return Stage(
        settings.model_copy(update=changes),
        provider.name,
        World(seed),
        tuple(Prompt(text, task) for task, text in demo_prompts(requests, seed)),
    )


def from_data(folder: Path, requests: int | None, seed: int, store: str) -> Stage:
    """A data folder's arms and prompts, each prompt once, in an order drawn by ``seed``.

    Where more ``requests`` are asked for than there are prompts, the order starts again.
    Raises DataError.
    """
    data = load_dataset(folder)
    order = np.random.default_rng(seed).permutation(len(data.prompts))
    rows = [int(order[at % len(order)]) for at in range(requests or len(order))]
    settings = Settings(
        store=StoreSettings(url=store),
        routers=(RouterSettings(name="auto"),),
        providers=(
            SimulatedProviderSettings(name="replay", kind="simulated", time_scale=0.0, data=folder),
        ),
        arms=tuple(_arms(data)),
        tasks=tuple(TaskSettings(name=task) for task in sorted({t for t in data.tasks if t})),
    )
    prompts = tuple(Prompt(data.prompts[row], data.tasks[row]) for row in rows)
    return Stage(settings, "replay", Replay(data), prompts)


def _arms(data: Dataset) -> Sequence[ArmSettings]:
    """The arms with prices that explain their recorded costs."""
    settings = []
    for column, name in enumerate(data.arms):
        price_in, price_out = prices(data, column)
        settings.append(
            ArmSettings(
                id=_arm_id(name, column),
                provider="replay",
                model=name,
                timeout_s=LONGEST_TIMEOUT_S,  # what was recorded did come back
                input_usd_per_mtok=price_in,
                output_usd_per_mtok=price_out,
                capabilities=("tools", "vision", "audio", "json"),
            )
        )
    return settings


def _arm_id(name: str, column: int) -> str:
    """The recorded name where it can be an arm's id, else one made from it."""
    spelled = re.sub(r"[^A-Za-z0-9._:/@+()-]", "-", name)[:120]
    return name if spelled == name and name[0].isalnum() else f"arm{column}-{spelled}"
