"""The demo's clients: what they do when a router cannot take feedback at once."""

import httpx
import pytest

from banditroute.cli.demo import driver
from banditroute.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

BEHIND = {"error": {"message": "the decision is still on its way to the store"}}


class Router(httpx.AsyncBaseTransport):
    """Answers every prompt, and takes feedback at the ``patience``-th time it is told."""

    def __init__(self, arm: str, patience: int) -> None:
        self.arm, self.patience = arm, patience
        self.told: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/feedback":
            self.told.append(await request.aread())
            if len(self.told) % self.patience:
                return httpx.Response(503, json=BEHIND, headers={"retry-after": "0"})
            return httpx.Response(200, json={"status": "learned"})
        answer = {"id": "d-1", "model": self.arm, "simulated": {"quality": 0.75}}
        return httpx.Response(200, json={**answer, "banditroute": {"cost_usd": 0.001}})


async def test_feedback_that_cannot_be_taken_yet_is_posted_again(stage, tally, monkeypatch):
    router = Router(tally.cells.arm_ids[0], patience=3)
    monkeypatch.setattr(driver, "AiohttpTransport", lambda: router)
    monkeypatch.setattr(driver, "CLIENTS", 1)
    await driver.drive("http://router", "auto", stage.prompts, tally)
    assert tally.quality == [0.75] * len(stage.prompts)
    assert len(router.told) == 3 * len(stage.prompts)


async def test_a_router_that_never_takes_feedback_ends_the_demo_with_its_reason(
    stage, tally, monkeypatch
):
    router = Router(tally.cells.arm_ids[0], patience=1_000)
    monkeypatch.setattr(driver, "AiohttpTransport", lambda: router)
    with pytest.raises(StoreUnavailable, match="on its way"):
        await driver.drive("http://router", "auto", stage.prompts, tally)
