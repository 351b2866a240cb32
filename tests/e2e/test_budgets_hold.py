"""A budget, from config.toml to a 429, with the shipped arms in processes of their own."""

import time

import httpx
import pytest
from e2e_server import asking, fast_config
from patience import PATIENCE_S
from serving import served

from banditroute.core.spending import DAY_S

WHOLE_USD = 0.01
BUDGET = f"[routers.budget]\nusd_per_day = {WHOLE_USD}\nwhen_spent = 'refuse'\n\n"
FAST = fast_config()
PROVIDERS = FAST.index("[[providers]]")
CONFIG = FAST[:PROVIDERS] + BUDGET + FAST[PROVIDERS:]


def ask(url: str) -> httpx.Response:
    """Always the same question, so that once it is refused nothing makes it cheaper again."""
    body = {"model": "auto", "messages": asking("Solve for x: 3x + 2 = 9")}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_S)


def budget(url: str) -> dict[str, float]:
    (found,) = httpx.get(f"{url}/v1/budgets", timeout=PATIENCE_S).json()["data"]
    return found


def spend_it(url: str) -> tuple[list[float], httpx.Response]:
    """What every answer cost, and the refusal after the last."""
    costs: list[float] = []
    while (response := ask(url)).status_code == 200:
        costs.append(response.json()["banditroute"]["cost_usd"])
        budget(url)  # what it cost is in the log by then
    return costs, response


@pytest.fixture
def _far_from_midnight():
    """A day's budget is renewed at midnight (UTC): no test of it runs across one."""
    left_s = DAY_S - time.time() % DAY_S
    if left_s < 60:
        time.sleep(left_s)


@pytest.mark.usefixtures("_far_from_midnight")
def test_a_tiny_budget_is_spent_and_then_refused_until_midnight_also_after_a_restart(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    with served(tmp_path) as (url, _):
        costs, refused = spend_it(url)
        stands = budget(url)
    assert len(costs) > 3
    assert 0.9 * WHOLE_USD < sum(costs) <= WHOLE_USD + max(costs)
    assert stands["spent_usd"] == pytest.approx(sum(costs))
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "budget_exhausted"
    wait_s = int(refused.headers["retry-after"])
    assert abs(wait_s - (DAY_S - time.time() % DAY_S)) < 60
    with served(tmp_path, "--workers", "2") as (url, _):
        assert [ask(url).status_code for _ in range(6)] == [429] * 6
        assert budget(url)["spent_usd"] == stands["spent_usd"]
