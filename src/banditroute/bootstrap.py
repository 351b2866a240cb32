"""Builds the world from settings. Nothing else constructs a store, a provider or an engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import httpx
from fastapi import FastAPI

from banditroute.config import (
    OpenAIProviderSettings,
    ProviderSettings,
    RouterSettings,
    Settings,
    SimulatedProviderSettings,
)
from banditroute.core.beliefs import Objective
from banditroute.core.choice import Rules
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.identity import Mint
from banditroute.core.policies import EpsilonGreedy, Fixed, LinUCB, Policy, policy_from
from banditroute.core.roster import Roster
from banditroute.datasets import load_dataset
from banditroute.dispatch import Dispatcher
from banditroute.engine import Baseline, Engine, Forgetting, RouterSpec
from banditroute.errors import ConfigError
from banditroute.http import create_app
from banditroute.judging import Budget, Judge, JudgeSpec
from banditroute.providers.base import Provider
from banditroute.providers.openai import OpenAIProvider
from banditroute.providers.replay import Replay
from banditroute.providers.scene import Scene
from banditroute.providers.simulated import SimulatedProvider
from banditroute.providers.world import World
from banditroute.stores import open_store


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that was built, from the inside out."""

    settings: Settings
    engine: Engine
    dispatcher: Dispatcher
    http: FastAPI


def build(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    scenes: Mapping[str, Scene] | None = None,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
    reread: Callable[[], Settings] | None = None,
) -> Application:
    """The whole application. Nothing is opened or started yet.

    ``transport`` stands in for the network of every ``openai`` provider; ``scenes`` for what
    simulated providers play, by provider name. ``clock`` gives seconds since the epoch,
    ``reread`` the settings as they are now where these came from.
    Raises StoreUnusable for a store that this version does not have, DataError for a data
    folder that cannot be replayed, and ConfigError for a judge that could never afford to judge.
    """
    engine = build_engine(settings, clock=clock, entropy=entropy, outbox=True)
    providers = {
        provider.name: _provider(provider, transport, (scenes or {}).get(provider.name))
        for provider in settings.providers
    }
    judge = _judge(settings, engine, providers, entropy)
    dispatcher = Dispatcher(engine, providers, time.monotonic, judge)
    http = create_app(
        dispatcher,
        monotonic=time.monotonic,
        started_s=int(clock()),
        settings=settings,
        reread=reread,
    )
    return Application(settings, engine, dispatcher, http)


def build_engine(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
    outbox: bool = False,
) -> Engine:
    """The engine alone, for whoever decides or looks without calling any arm.

    Only with ``outbox`` it takes part in keeping promises while a remote store is away.
    """
    kept = settings.store
    store = open_store(
        kept.url,
        decision_ttl_s=kept.decision_ttl_s,
        clock=clock,
        outbox=kept.outbox_folder if outbox else None,
    )
    featurizer = Featurizer(
        text=settings.features.text,
        tasks=[TaskSpec(task.name, task.examples) for task in settings.tasks],
        task_slots=settings.features.task_slots,
    )
    routers = [_router(settings, router) for router in settings.routers]
    mint = Mint(lambda: int(clock() * 1000), entropy)
    return Engine(routers, featurizer, store, mint, clock)


def _router(settings: Settings, router: RouterSettings) -> RouterSpec:
    return RouterSpec(
        name=router.name,
        roster=Roster(tuple(arm.to_arm() for arm in settings.arms_of(router))),
        rules=Rules(_policy(router), router.floor, router.seed),
        objective=Objective(router.answer_value_usd, router.patience_s),
        budgets=settings.budgets_of(router),
        forgetting=Forgetting(
            router.half_life.s, router.half_life.n, router.drift_detection, router.winsorise or None
        ),
        baseline=None
        if router.baseline_arm is None
        else Baseline(router.baseline_arm, router.max_quality_loss),
        default_arm=router.default_arm,
        max_attempts=router.max_attempts,
        source_share=router.source_share,
        keep_prompts=settings.logging.prompts,
    )


def _policy(router: RouterSettings) -> Policy:
    match router.policy:
        case "linucb":
            return LinUCB(router.linucb_alpha)
        case "epsilon-greedy":
            return EpsilonGreedy(router.epsilon)
        case "fixed":
            return Fixed(router.default_arm or "")
        case name:
            return policy_from(name)


def _provider(
    settings: ProviderSettings,
    transport: httpx.AsyncBaseTransport | None,
    scene: Scene | None,
) -> Provider:
    match settings:
        case OpenAIProviderSettings():
            key = settings.api_key
            return OpenAIProvider(
                settings.name,
                base_url=settings.base_url,
                api_key=None if key is None else key.get_secret_value(),
                headers={n: value.get_secret_value() for n, value in settings.headers.items()},
                transport=transport,
            )
        case SimulatedProviderSettings():
            return SimulatedProvider(scene or _scene(settings), time_scale=settings.time_scale)


def _judge(
    settings: Settings,
    engine: Engine,
    providers: Mapping[str, Provider],
    entropy: Callable[[int], bytes],
) -> Judge | None:
    told = settings.judge
    if told is None:
        return None
    arm = next(arm for arm in settings.arms if arm.id == told.arm).to_arm()
    spec = JudgeSpec(
        arm=replace(arm, timeout_s=told.timeout_s),
        rubric=told.rubric,
        share=told.share,
        routers=settings.judged_by(told),
        skip_own=told.skip_own,
        max_concurrency=told.max_concurrency,
        queue=told.queue,
    )
    budget = Budget(told.usd_per_day / settings.server.workers, time.monotonic)
    if spec.least_usd > budget.most_usd:
        raise ConfigError([_unaffordable(spec, budget)], "[judge]")
    return Judge(spec, providers[arm.provider], engine, budget, entropy)


def _unaffordable(spec: JudgeSpec, budget: Budget) -> str:
    return (
        f"usd_per_day: one call of {spec.arm.id} may cost ${spec.least_usd:.3g}, and at most "
        f"${budget.most_usd:.3g} can be saved up for it (an eighth of a day's dollars, divided by "
        "[server] workers); raise it, or take a cheaper arm"
    )


def _scene(settings: SimulatedProviderSettings) -> Scene:
    if settings.data is None:
        return World(settings.seed)
    return Replay(load_dataset(settings.data))
