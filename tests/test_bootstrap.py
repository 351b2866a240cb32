"""The world is built from settings alone, part by part, and opens nothing by being built."""

import httpx
import pytest
from doubles import Clock

from banditroute.bootstrap import build, build_engine
from banditroute.config import default_text, parse
from banditroute.core.pacing import Budget
from banditroute.core.policies import EpsilonGreedy, Fixed, Greedy, LinUCB, Thompson, Uniform
from banditroute.engine import Forgetting
from banditroute.errors import DataError
from banditroute.providers.openai import OpenAIProvider
from banditroute.providers.replay import Replay
from banditroute.providers.scene import Cell
from banditroute.providers.simulated import SimulatedProvider
from banditroute.providers.world import World
from banditroute.stores import MemoryStore, SQLiteStore

pytestmark = pytest.mark.anyio

CONFIG = """
[store]
url = "memory://"

[[routers]]
name = "auto"
arms = ["a"]
answer_value_usd = 0.25
patience_s = 7
floor = 0.125
seed = 42
max_attempts = 2
default_arm = "a"
{router}

[[providers]]
name = "sim"
kind = "simulated"
time_scale = 0
{provider}

[[arms]]
id = "a"
provider = "sim"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
max_concurrency = 3
"""


def settings(router="", provider=""):
    return parse(CONFIG.format(router=router, provider=provider), {})


def test_a_router_is_what_its_table_says():
    spec = build_engine(settings()).routers["auto"]
    assert (spec.objective.answer_value_usd, spec.objective.patience_s) == (0.25, 7.0)
    assert (spec.rules.floor, spec.rules.seed) == (0.125, 42)
    assert (spec.max_attempts, spec.default_arm) == (2, "a")
    (arm,) = spec.roster
    assert (arm.id, arm.model, arm.max_concurrency) == ("a", "a", 3)


def test_a_router_keeps_the_budgets_of_the_file():
    text = CONFIG.format(router="[routers.budget]\nusd_per_day = 2", provider="")
    text += "[[budgets]]\ntag = 'batch'\nusd_per_request = 0.5\nwhen_spent = 'refuse'\n"
    assert build_engine(parse(text, {})).routers["auto"].budgets == (
        Budget(usd_per_day=2.0),
        Budget("tag:batch", usd_per_request=0.5, refuse=True),
    )


FORGETTING = {
    "": Forgetting(),
    "half_life = 200\ndrift_detection = false": Forgetting(half_life_n=200.0, detect_drift=False),
    'half_life = "1d"': Forgetting(half_life_s=86_400.0),
    "winsorise = 0": Forgetting(winsorise_sd=None),
    "winsorise = 1.5": Forgetting(winsorise_sd=1.5),
}


@pytest.mark.parametrize("text", FORGETTING)
def test_a_router_forgets_and_bounds_scores_as_its_table_says(text):
    assert build_engine(settings(text)).routers["auto"].forgetting == FORGETTING[text]


POLICIES = {
    'policy = "thompson"': Thompson(),
    'policy = "linucb"': LinUCB(2.0),
    'policy = "linucb"\nlinucb_alpha = 0.5': LinUCB(0.5),
    'policy = "epsilon-greedy"\nepsilon = 0.25': EpsilonGreedy(0.25),
    'policy = "greedy"': Greedy(),
    'policy = "uniform"': Uniform(),
    'policy = "fixed"': Fixed("a"),
}


@pytest.mark.parametrize("said", POLICIES)
def test_a_policy_is_what_its_name_and_parameters_say(said):
    assert build_engine(settings(router=said)).routers["auto"].rules.policy == POLICIES[said]


def test_the_features_are_those_of_the_settings():
    text = CONFIG.format(router="", provider="") + '[features]\ntext = "none"\ntask_slots = 8\n'
    text += '[[tasks]]\nname = "code"\nexamples = ["def f(): pass"]\n'
    plain, other = build_engine(settings()).featurizer, build_engine(parse(text, {})).featurizer
    assert plain.fingerprint != other.fingerprint
    assert "text" in plain.groups
    assert "text" not in other.groups
    assert other.groups.count("task") < plain.groups.count("task")
    assert [name for name in other.names if "similar" in name and "code" in name]


def test_the_store_is_the_one_of_the_url(tmp_path):
    assert isinstance(build_engine(settings()).store, MemoryStore)
    text = CONFIG.format(router="", provider="").replace("memory://", f"sqlite:///{tmp_path}/a.db")
    assert isinstance(build_engine(parse(text, {})).store, SQLiteStore)


def test_building_opens_nothing(tmp_path):
    text = CONFIG.format(router="", provider="").replace("memory://", f"sqlite:///{tmp_path}/a.db")
    build(parse(text, {}))
    assert not list(tmp_path.iterdir())


def test_ids_are_made_of_the_given_clock_and_entropy():
    made = [
        build_engine(settings(), clock=Clock(), entropy=lambda count: b"\7" * count).mint
        for _ in range(2)
    ]
    assert made[0].decision_id("auto") == made[1].decision_id("auto")


def test_simulated_arms_live_in_a_made_up_world():
    provider = build(settings()).dispatcher._providers["sim"]
    assert isinstance(provider, SimulatedProvider)
    assert isinstance(provider.scene, World)


def test_a_scene_may_be_given_instead():
    class Still:
        def answer(self, arm, body):
            return Cell(1.0, 1, 1, 0.0, None, fails=False, text="still")

    scene = Still()
    application = build(settings(), scenes={"sim": scene})
    assert application.dispatcher._providers["sim"].scene is scene


def test_a_data_folder_is_replayed(monkeypatch):
    monkeypatch.setattr("banditroute.bootstrap.load_dataset", lambda path: ("loaded", path.name))
    monkeypatch.setattr(Replay, "__init__", lambda self, dataset: setattr(self, "set", dataset))
    provider = build(settings(provider='data = "some/answers"')).dispatcher._providers["sim"]
    assert provider.scene.set == ("loaded", "answers")


def test_a_data_folder_that_is_none_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        build(settings(provider=f'data = "{tmp_path}"'))


CLOUD = """
[store]
url = "memory://"
[[providers]]
name = "cloud"
kind = "openai"
base_url = "https://api.example/v1"
{more}
[[arms]]
id = "a"
provider = "cloud"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", {"authorization": None, "x-team": None}),
        ('api_key = "${KEY}"', {"authorization": "Bearer sk-1", "x-team": None}),
        ('headers = { X-Team = "t" }', {"authorization": None, "x-team": "t"}),
    ],
)
async def test_a_provider_calls_with_its_key_and_headers(more, expected):
    seen = []

    def upstream(request):
        seen.append(request)
        return httpx.Response(500)

    transport = httpx.MockTransport(upstream)
    application = build(parse(CLOUD.format(more=more), {"KEY": "sk-1"}), transport=transport)
    provider = application.dispatcher._providers["cloud"]
    assert isinstance(provider, OpenAIProvider)
    web = httpx.ASGITransport(app=application.http)
    async with httpx.AsyncClient(transport=web, base_url="http://router") as client:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
        await client.post("/v1/chat/completions", json=body)
    await application.dispatcher.close()
    assert {name: seen[0].headers.get(name) for name in expected} == expected


def test_the_shipped_configuration_is_built():
    application = build(parse(default_text(), {}))
    assert set(application.engine.routers) == {"auto"}
    assert application.settings.store.url.startswith("sqlite://")
