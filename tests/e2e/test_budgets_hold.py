"""A budget, from config.toml to a 429, with the shipped arms in processes of their own."""

import time

import httpx
import pytest
from serving import served

from banditroute.config import default_text

WHOLE_USD = 0.01
BUDGET = f"[routers.budget]\nusd_per_day = {WHOLE_USD}\nwhen_spent = 'refuse'\n\n"
FAST = default_text().replace("#time_scale = 1.0", "time_scale = 0")
PROVIDERS = FAST.index("[[providers]]")
CONFIG = FAST[:PROVIDERS] + BUDGET + FAST[PROVIDERS:]


def ask(url: str, number: int) -> httpx.Response:
    messages = [{"role": "user", "content": f"Solve for x: 3x + {number} = 9"}]
    return httpx.post(f"{url}/v1/chat/completions", json={"model": "auto", "messages": messages})


def budget(url: str) -> dict[str, float]:
    (found,) = httpx.get(f"{url}/v1/budgets").json()["data"]
    return found


def spend_it(url: str) -> tuple[list[float], httpx.Response]:
    """What every answer cost, and the refusal after the last."""
    costs: list[float] = []
    while (response := ask(url, len(costs))).status_code == 200:
        costs.append(response.json()["banditroute"]["cost_usd"])
        budget(url)  # what it cost is in the log by then
    return costs, response


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
    assert abs(wait_s - (86_400 - time.time() % 86_400)) < 60
    with served(tmp_path, "--workers", "2") as (url, _):
        assert [ask(url, number).status_code for number in range(6)] == [429] * 6
        assert budget(url)["spent_usd"] == stands["spent_usd"]
