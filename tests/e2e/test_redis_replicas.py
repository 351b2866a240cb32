"""Replicas go on serving whatever happens to Redis, and what they acknowledged counts once."""

import re
import time
from contextlib import ExitStack

import pytest
from chaos import ChaosProxy
from e2e_server import fast_config
from redis_fleets import Cluster, Sentinels
from redis_servers import AOF_ALWAYS, RedisServer, a_binary, free_port, running, wait_until
from replicas import replicas

OUTAGE_S = 3.0


@pytest.fixture
def redis(tmp_path):
    with running(tmp_path / "redis", binary=a_binary()) as server:
        yield server


def degraded(each, at=0):
    return each.get("/readyz", at).json()["status"] == "degraded"


def metric(each, name, at=0):
    text = each.get("/metrics", at).text
    [value] = re.findall(rf"^banditroute_{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return float(value)


def test_feedback_counts_on_whatever_replica_it_is_posted(tmp_path, redis):
    with replicas(tmp_path, redis.url, redis.url) as each:
        each.live(20)
        decision_id, _ = each.decide(at=0)
        each.tell(decision_id, at=1)
        each.agree()


def test_redis_away_at_the_start_is_waited_for(tmp_path):
    server = RedisServer(tmp_path / "redis", binary=a_binary(), port=free_port())
    with replicas(tmp_path, server.url, server.url) as each:
        wait_until(lambda: degraded(each) and degraded(each, 1), "both replicas say so")
        _, answer = each.decide(at=0)
        assert answer.headers["x-banditroute-degraded"] == "true"
        assert (metric(each, "degraded"), metric(each, "store_up")) == (1.0, 0.0)
        each.live(5)
        assert set(each.statuses) == {202}
        assert metric(each, "outbox_waiting") + metric(each, "outbox_waiting", 1) > 5
        with server:
            each.agree()
            assert (metric(each, "degraded"), metric(each, "store_up")) == (0.0, 1.0)
            each.live(5)
            each.agree()


@pytest.mark.parametrize("trouble", ["cut", "blackhole", "slow", "paused", "killed"])
def test_trouble_under_load_is_served_through(tmp_path, trouble):
    options = AOF_ALWAYS if trouble == "killed" else {}
    with (
        running(tmp_path / "redis", binary=a_binary(), options=options) as server,
        ChaosProxy(server.address) as line,
        replicas(tmp_path, line.url, line.url) as each,
    ):
        each.live(5)
        begin, end = {
            "cut": (line.cut, line.heal),
            "blackhole": (line.blackhole, line.heal),
            "slow": (lambda: line.delay(0.2), lambda: line.delay(0.0)),
            "paused": (server.pause, server.resume),
            "killed": (server.kill, server.start),
        }[trouble]
        begin()
        until = time.monotonic() + OUTAGE_S
        while time.monotonic() < until:
            each.live(1)
        if trouble != "slow":
            wait_until(lambda: degraded(each), "a degraded replica says so")
        end()
        each.live(5)
        each.agree()


@pytest.mark.parametrize("loss", ["restarted without its data", "wiped"])
def test_what_redis_lost_is_given_back(tmp_path, redis, loss):
    with replicas(tmp_path, redis.url, redis.url) as each:
        each.live(15)
        each.agree()
        if loss == "wiped":
            redis.ask("FLUSHALL")
        else:
            redis.kill()
            redis.start()
        each.live(5)
        each.agree()


def test_without_an_outbox_feedback_is_refused_while_redis_is_away(tmp_path, redis):
    config = re.sub(r"(?m)^#outbox = .*$", 'outbox = "off"', fast_config())
    assert 'outbox = "off"' in config
    with ChaosProxy(redis.address) as line, replicas(tmp_path, line.url, config=config) as each:
        each.live(3)
        line.cut()
        wait_until(lambda: degraded(each), "the replica says so")
        decision_id, _ = each.decide()
        refused = each.tell(decision_id)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "store_unavailable"
        line.heal()
        wait_until(lambda: each.tell(decision_id).is_success, "it is taken again")
        each.agree()
        assert not (tmp_path / "replica-0" / "banditroute-outbox").exists()


def test_a_failover_that_loses_the_last_writes_loses_no_feedback(tmp_path):
    binary = a_binary()
    with (
        running(tmp_path / "old", binary=binary) as old,
        running(tmp_path / "new", binary=binary, replica_of=old.address) as new,
        ChaosProxy(old.address) as line,
        replicas(tmp_path, line.url, line.url) as each,
    ):
        each.live(10)
        each.agree()
        wait_until(
            lambda: (
                new.info("replication")["slave_repl_offset"]
                == old.info("replication")["master_repl_offset"]
            ),
            "the standby has everything",
        )
        new.pause()
        each.live(10)  # acknowledged, and the standby will never hear of it
        old.kill()
        new.resume()
        new.ask("REPLICAOF", "NO", "ONE")
        line.target(*new.address)
        line.reset_connections()
        each.live(10)
        each.agree()


def test_sentinels_choose_another_primary(tmp_path):
    with Sentinels(tmp_path / "sentinels", binary=a_binary()) as watched:
        hosts = ",".join(f"{host}:{port}" for host, port in watched.addresses)
        url = f"redis+sentinel://{hosts}/{watched.name}/0"
        with replicas(tmp_path, url, url) as each:
            each.live(10)
            _, port = watched.primary()
            watched.on_port(port).kill()
            each.live(10)
            watched.failover_done(port)
            each.live(10)
            each.agree()


def test_a_cluster_loses_a_primary(tmp_path):
    with ExitStack() as stack:
        cluster = stack.enter_context(
            Cluster(tmp_path / "cluster", binary=a_binary(), replicas=True)
        )
        each = stack.enter_context(replicas(tmp_path, cluster.url, cluster.url))
        each.live(10)
        lost = cluster.owner("br1:{auto}:log")
        lost.kill()
        each.live(10)
        cluster.wait_for_failover(lost)
        each.live(10)
        each.agree()


def test_a_slot_moves_while_the_router_is_in_use(tmp_path):
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(tmp_path / "cluster", binary=a_binary()))
        each = stack.enter_context(replicas(tmp_path, cluster.url, cluster.url))
        each.live(10)
        owner = cluster.owner("br1:{auto}:log")
        slot = int(owner.ask("CLUSTER", "KEYSLOT", "br1:{auto}:log"))
        to = next(server for server in cluster.servers if server is not owner)
        cluster.begin_move(slot, to)
        cluster.move_keys(slot, to, b"br1:{auto}:meta")  # half of it: ASK and TRYAGAIN
        each.live(5)
        cluster.finish_move(slot, to)
        each.live(10)
        each.agree()
        assert cluster.owner("br1:{auto}:log") is to
