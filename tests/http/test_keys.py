"""API keys over the wire: who gets in where, and what a refusal says."""

from collections.abc import AsyncIterator

import pytest
from wire import CONFIG, Served, chat, shaped
from wire import served as serve

from banditroute.core.pacing import Budget
from banditroute.core.purse import Purse
from banditroute.http.keyring import Key, Keyring, Role, hash_of

pytestmark = pytest.mark.anyio

SECRETS = {role: f"br-{role}-key-0123456789" for role in Role}
KEYS = "".join(
    f'[[keys]]\nname = "{role}"\nhash = "{hash_of(secret)}"\nroles = ["{role}"]\n'
    for role, secret in SECRETS.items()
)
CHAT, FEEDBACK = "/v1/chat/completions", "/feedback"
ENDPOINTS = {
    ("POST", CHAT): {"client"},
    ("POST", "/v1/route"): {"client"},
    ("POST", "/v1/outcomes"): {"client"},
    ("GET", "/v1/models"): {"client"},
    ("POST", "/feedback"): {"client", "feedback"},
    ("POST", "/v1/feedback"): {"client", "feedback"},
    ("DELETE", "/feedback/x"): {"client", "feedback"},
    ("DELETE", "/v1/feedback/x"): {"client", "feedback"},
    ("GET", "/v1/decisions/x"): set(Role),
    ("GET", "/v1/arms"): set(Role),
    ("GET", "/v1/budgets"): set(Role),
    ("GET", "/v1/guard"): set(Role),
    ("GET", "/admin/arms"): {"admin"},
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(CONFIG + KEYS) as running:
        yield running


def bearing(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_every_endpoint_lets_in_the_roles_it_is_for(served, method, path):
    for role, secret in SECRETS.items():
        response = await served.client.request(method, path, headers=bearing(secret))
        if role in ENDPOINTS[method, path]:
            assert response.status_code not in {401, 403}
        else:
            assert (response.status_code, shaped(response)["code"]) == (403, "access_denied")
            assert f"'{role}' lacks the role" in shaped(response)["message"]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearing("br-wrong-key"),
        bearing(SECRETS[Role.ADMIN][:-1]),
        bearing("ü"),
        {"authorization": SECRETS[Role.ADMIN]},
        {"authorization": f"Basic {SECRETS[Role.ADMIN]}"},
        {"authorization": "Bearer"},
    ],
    ids=["none", "wrong", "short", "not ascii", "bare", "basic", "empty"],
)
async def test_without_a_key_of_this_server_nobody_gets_in(served, method, path, headers):
    sent = [(name, value.encode()) for name, value in headers.items()]
    response = await served.client.request(method, path, headers=sent)
    assert (response.status_code, shaped(response)["code"]) == (401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "br-" not in response.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_need_no_key(served, path):
    assert (await served.get(path)).status_code == 200


async def test_every_described_endpoint_is_in_the_table_or_open(served):
    paths = (await served.get("/openapi.json")).json()["paths"]
    listed = {path.replace("/x", "/{id}") for _, path in ENDPOINTS}
    open_to_all = {"/healthz", "/readyz", "/metrics"}
    assert {path for path in paths if not path.startswith("/admin")} <= listed | open_to_all


async def test_without_keys_everything_but_admin_is_open():
    async with serve() as served:
        answer = await served.post(CHAT, chat(), headers=bearing("whatever"))
        assert answer.status_code == 200
        assert (await served.get("/v1/models")).status_code == 200
        assert (await served.get("/admin/arms")).status_code == 403


async def test_a_decision_says_whose_key_pays(served):
    budget = Budget("key:client", usd_per_day=1e6)
    served.application.engine._deciders["auto"].purse = Purse([budget], seed=1)
    answer = await served.post(CHAT, chat(), headers=bearing(SECRETS[Role.CLIENT]))
    decision_id = answer.json()["banditroute"]["decision_id"]
    record = await served.application.engine.receipt(decision_id)
    assert record.decision.payers == ("key:client",)
    [entry] = await served.application.engine.store.evidence("auto", 0, 10)
    assert entry.payers == ("key:client",)


def test_a_key_is_found_by_what_it_hashes_to():
    keys = [Key(name, hash_of(f"secret {name}"), frozenset({Role.CLIENT})) for name in "abc"]
    ring = Keyring(keys)
    assert [ring.find(f"secret {name}") for name in "abc"] == keys
    assert ring.find("secret d") is None
    assert not Keyring()


def test_who_gets_answers_may_give_feedback():
    client, critic = (Key("k", "", frozenset({role})) for role in (Role.CLIENT, Role.FEEDBACK))
    assert client.may(Role.FEEDBACK)
    assert not critic.may(Role.CLIENT)
    assert not client.may(Role.ADMIN)
