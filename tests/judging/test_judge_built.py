"""A judge is what its table says, and one that could never afford to judge is refused."""

import pytest

from banditroute.bootstrap import build
from banditroute.config import parse
from banditroute.errors import ConfigError

CONFIG = """
[store]
url = "memory://"

[server]
workers = {workers}

[[routers]]
name = "auto"

[[routers]]
name = "other"

[[providers]]
name = "sim"
kind = "simulated"
time_scale = 0

[[arms]]
id = "a"
provider = "sim"
input_usd_per_mtok = 3.0
output_usd_per_mtok = 15.0
"""


def judge(said="", workers=1):
    text = CONFIG.format(workers=workers) + f'[judge]\narm = "a"\n{said}\n'
    return build(parse(text, {})).dispatcher.judge


def test_a_judge_is_what_its_table_says():
    spec = judge(
        'share = 0.5\nrubric = "r"\nrouters = ["o*"]\nskip_own = false\n'
        "max_concurrency = 3\nqueue = 7\ntimeout_s = 4"
    ).spec
    assert (spec.arm.id, spec.arm.timeout_s, spec.arm.output_usd_per_mtok) == ("a", 4.0, 15.0)
    assert (spec.share, spec.rubric, spec.routers) == (0.5, "r", {"other"})
    assert (spec.skip_own, spec.max_concurrency, spec.queue) == (False, 3, 7)


def test_without_its_table_there_is_none():
    assert build(parse(CONFIG.format(workers=1), {})).dispatcher.judge is None


def test_workers_share_a_days_dollars():
    assert judge("usd_per_day = 80")._budget.most_usd == 10.0
    assert judge("usd_per_day = 80", workers=4)._budget.most_usd == 2.5


@pytest.mark.parametrize(("usd_per_day", "workers"), [(0.1, 1), (0.3, 4)])
def test_a_budget_that_never_suffices_for_one_call_is_refused(usd_per_day, workers):
    with pytest.raises(ConfigError, match=r"usd_per_day: one call of a may cost \$0\.01"):
        judge(f"usd_per_day = {usd_per_day}", workers)
    assert judge("usd_per_day = 0.3")
