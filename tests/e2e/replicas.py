"""Real replicas of one router on one Redis, and clients that remember what was acknowledged."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from e2e_server import asking, fast_config
from patience import PATIENCE_S
from redis_servers import wait_until
from serving import launched


class Replicas:
    """Answers and feedback of several replicas, and the score last acknowledged per decision."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.scores: dict[str, float] = {}
        self.statuses: list[int] = []
        self._random = random.Random(5)
        self._http = httpx.Client(timeout=PATIENCE_S)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, at: int = 0) -> httpx.Response:
        return self._http.get(self.urls[at] + path)

    def decide(self, at: int | None = None) -> tuple[str, httpx.Response]:
        """A decision's id and the answer, from a replica; never an error."""
        url = self._random.choice(self.urls) if at is None else self.urls[at]
        body = {"model": "auto", "messages": asking(f"What is {self._random.random()}?")}
        response = self._http.post(f"{url}/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        return response.headers["x-banditroute-decision-id"], response

    def tell(self, decision_id: str, at: int | None = None) -> httpx.Response:
        """Say something of a decision to a replica; remember it if it was acknowledged."""
        score = self._random.randrange(257) / 256
        url = self._random.choice(self.urls) if at is None else self.urls[at]
        response = self._http.post(f"{url}/feedback", json={"id": decision_id, "score": score})
        self.statuses.append(response.status_code)
        if response.is_success:
            self.scores[decision_id] = score
        return response

    def live(self, rounds: int) -> None:
        """Decide and say something of it, and now and then change one's mind."""
        for _ in range(rounds):
            decision_id, _ = self.decide()
            assert self.tell(decision_id).is_success
            if self._random.random() < 0.3:
                assert self.tell(decision_id).is_success

    def agree(self) -> None:
        """Wait until every replica has learned exactly what was acknowledged, and the same."""

        def settled() -> bool:
            ready = [self.get("/readyz", at).json() for at in range(len(self.urls))]
            if any(r["status"] != "ready" or r["waiting"] for r in ready):
                return False
            arms = [self.get("/v1/arms?digest=true", at).json() for at in range(len(self.urls))]
            told = [sum(arm["feedback_n"] for arm in view["data"]) for view in arms]
            return set(told) == {len(self.scores)} and len({str(v["digest"]) for v in arms}) == 1

        wait_until(settled, f"all replicas know all {len(self.scores)} feedbacks")
        assert [self.get("/readyz", at).json()["dropped"] for at in range(len(self.urls))] == [
            0 for _ in self.urls
        ]
        for decision_id, score in self.scores.items():
            view = self.get(f"/v1/decisions/{decision_id}").json()
            assert [one["score"] for one in view["feedback"]] == [score]


@contextmanager
def replicas(folder: Path, *stores: str, config: str | None = None) -> Iterator[Replicas]:
    """A replica for each store url, each in a folder of its own."""
    with ExitStack() as stack:
        urls = []
        for number, store in enumerate(stores):
            (home := folder / f"replica-{number}").mkdir()
            (home / "config.toml").write_text(config or fast_config(), encoding="utf-8")
            url, _ = stack.enter_context(launched(home, "--store", store))
            urls.append(url)
        made = Replicas(urls)
        stack.callback(made.close)
        yield made
