"""Clients that ask, and say what they think until they are heard; and a journal of all that."""

import asyncio
import heapq
import json
import random
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx
from httpx_aiohttp import AiohttpTransport

from soak.words import CHAT, Conversation, Word, conversation, request

PATIENCE_S = 30.0  # no answer takes so long: whoever does not get one by then is counted
GIVE_UP_S = 20.0  # how long after the end of all trouble a decision may stay unknown
LEAST_PAUSE_S = 0.006  # so that a newer word has a younger id, on whatever replica
MISSED_PAUSE_S = 0.5
MOST_OPEN = 50  # conversations of one client
LATE = 0.03
LATE_S = (60.0, 90.0)  # so late a decision is not excused for being unknown
_ANSWERS = {
    True: {"learned", "amended", "unchanged", "accepted"},
    False: {"retracted", "unchanged", "accepted"},
}
_NO_CONNECTION = (httpx.ConnectTimeout, httpx.PoolTimeout)  # or it has ended, with its replica


class Journal:
    """Every decision that was answered, every word before it is said and when it is heard."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: str, decision_id: str, word: Word | None = None, **more: Any) -> None:
        """One line: ``decided``, ``said``, ``heard``, ``given up`` or ``wrong``."""
        line = {"t": time.time(), "event": event, "id": decision_id, **more}
        if word is not None:
            line |= {"source": word.source, "number": word.number, "say": word.say}
        self._file.write(json.dumps(line) + "\n")
        self.counts[event] += 1


class Clients:
    """``workers`` clients that together say ``words`` words about decisions of their own.

    Set ``healed_s`` (on the loop's clock) when nothing goes wrong any more: from then on a
    decision that stays unknown is given up.
    """

    def __init__(
        self,
        urls: list[str],
        journal: Journal,
        *,
        seed: int,
        words: int,
        workers: int,
        lag_s: float,
    ) -> None:
        """``lag_s`` is the mean time between two words on one decision."""
        self.healed_s: float | None = None
        self.counts = journal.counts
        self._urls, self._journal = urls, journal
        self._words, self._workers, self._lag_s = words, workers, lag_s
        self._seed = seed
        self._planned = 0
        self._done = False

    @property
    def progress(self) -> float:
        """The share of all words that are over."""
        over = self.counts["words heard"] + self.counts["given up"]
        return 1.0 if self._done else min(over / self._words, 1.0)

    async def run(self) -> None:
        """Say everything."""
        async with httpx.AsyncClient(
            transport=AiohttpTransport(limits=httpx.Limits(max_connections=None)),
            timeout=PATIENCE_S,
        ) as http:
            workers = [_Worker(self, http, number) for number in range(self._workers)]
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.run())
        self._done = True

    def begin(self, rng: random.Random, decision_id: str) -> Conversation:
        """A conversation, which counts against the words there are to say."""
        talk = conversation(rng, decision_id)
        left = self._words - self._planned
        words = [(at, word) for at, step in enumerate(talk.steps) for word in step][:left]
        steps = [[word for at, word in words if at == n] for n in range(len(talk.steps))]
        talk.steps = [step for step in steps if step]
        self._planned += len(words)
        return talk


class _Worker:
    """One client: it has several conversations, and one word under way at a time."""

    def __init__(self, all_of_us: Clients, http: httpx.AsyncClient, number: int) -> None:
        self._us, self._http = all_of_us, http
        self._rng = random.Random(f"client {number} of {all_of_us._seed}")
        self._open: list[tuple[float, int, Conversation]] = []
        self._order = count()
        self._clock = asyncio.get_running_loop().time

    async def run(self) -> None:
        while True:
            ending = self._us._planned >= self._us._words
            if ending and not self._open:
                return
            due = bool(self._open) and (ending or self._open[0][0] <= self._clock())
            if due or len(self._open) >= MOST_OPEN:
                at_s, _, talk = heapq.heappop(self._open)
                await asyncio.sleep(LEAST_PAUSE_S if due else max(at_s - self._clock(), 0.0))
                await self._go_on(talk)
            else:
                await self._begin()

    async def _begin(self) -> None:
        """Ask for a decision, and speak of it."""
        path = "/v1/chat/completions" if self._rng.random() < CHAT else "/v1/route"
        response = await self._send("POST", path, request(self._rng))
        if response is None or response.status_code == 503:
            self._us.counts["asked in vain"] += 1
            await self._pause()
            return
        if response.status_code != 200:
            self._us._journal.write("wrong", "", said=f"{path}: {_shown(response)}")
            return
        body = response.json()
        decision_id = body["id"].removeprefix("chatcmpl-")
        self._us._journal.write("decided", decision_id, arm=body["model"], how=path)
        talk = self._us.begin(self._rng, decision_id)
        if talk.steps:
            await self._go_on(talk)

    async def _go_on(self, talk: Conversation) -> None:
        """Say what is to be said now; what is left is for later."""
        words = talk.now()
        for word in words:
            if not word.acknowledged:
                self._us._journal.write("said", talk.decision_id, word)
        await asyncio.gather(*(self._say(talk, word) for word in words))
        if talk.now():  # the decision is not known there, or not yet
            self._miss(talk)
            self._later(talk, MISSED_PAUSE_S)
        elif talk.move_on():
            late = self._us._lag_s > 1.0 and self._rng.random() < LATE
            mean = self._us._lag_s
            self._later(
                talk, self._rng.uniform(*LATE_S) if late else self._rng.expovariate(1 / mean)
            )

    def _later(self, talk: Conversation, pause_s: float) -> None:
        due_s = self._clock() + max(pause_s, LEAST_PAUSE_S)
        heapq.heappush(self._open, (due_s, next(self._order), talk))

    def _miss(self, talk: Conversation) -> None:
        now_s, healed_s = self._clock(), self._us.healed_s
        talk.first_missed_s = talk.first_missed_s or now_s
        if healed_s is None or now_s - max(healed_s, talk.first_missed_s) < GIVE_UP_S:
            return
        for word in talk.now():
            word.given_up = True
            self._us._journal.write("given up", talk.decision_id, word, heard=word.acknowledged)

    async def _say(self, talk: Conversation, word: Word) -> None:
        if word.together:
            left = word.copies - word.acknowledged
            await asyncio.gather(*(self._post(talk, word) for _ in range(left)))
            return
        while not word.over and await self._post(talk, word):
            if not word.over:
                await asyncio.sleep(self._rng.uniform(0.0, 0.2))

    async def _post(self, talk: Conversation, word: Word) -> bool:
        """Send a word until it is acknowledged; False if its decision is not known now."""
        if word.say is None:
            sent = ("DELETE", f"/feedback/{talk.decision_id}?source={word.source}", None)
        else:
            sent = (
                "POST",
                "/feedback",
                {"id": talk.decision_id, "source": word.source, **word.say},
            )
        while (response := await self._send(*sent, word)) is None or response.status_code == 503:
            self._us.counts["repeated"] += 1
            await self._pause()
        if response.status_code == 404:
            self._us.counts["unknown"] += 1
            return False
        self._hear(talk, word, response)
        return True

    def _hear(self, talk: Conversation, word: Word, response: httpx.Response) -> None:
        counts, journal = self._us.counts, self._us._journal
        status = response.json().get("status") if response.is_success else None
        right = status in _ANSWERS[word.say is not None]
        if not right or (response.status_code == 202) is not (status == "accepted"):
            journal.write("wrong", talk.decision_id, word, said=_shown(response))
            word.given_up = True
            return
        counts["words heard" if not word.acknowledged else "duplicates"] += 1
        if not word.acknowledged:
            counts[word.kind] += 1
        counts["accepted"] += status == "accepted"
        word.acknowledged += 1
        journal.write("heard", talk.decision_id, word, status=status, port=response.url.port)

    async def _send(
        self, method: str, path: str, body: object, word: Word | None = None
    ) -> httpx.Response | None:
        """The answer of any replica; None if there is none."""
        url = self._rng.choice(self._us._urls) + path
        with suppress(httpx.TransportError):
            try:
                return await self._http.request(method, url, json=body)
            except httpx.TimeoutException as error:
                if not isinstance(error, _NO_CONNECTION):
                    self._us.counts["timed out"] += 1
                    if word is not None:
                        word.timed_out = True
        return None

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.02, 0.2))


def _shown(response: httpx.Response) -> str:
    return f"{response.status_code} {response.text[:300]}"
