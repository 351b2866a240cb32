"""Does the state of Redis and of every replica say what was acknowledged, and nothing else?"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from banditroute.bootstrap import build_engine
from banditroute.config import load
from banditroute.core import checkpoint
from banditroute.core.feedback import reading
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.stores import Store, open_store
from banditroute.stores.packing import unpack_evidence
from banditroute.values import DecisionRecord, FeedbackKind
from soak import reference
from soak.reference import Entry, Spoken
from soak.world import LOG, ROUTER, Replica, World

TTL_S = 30 * 86_400.0
PAGE = 1_000
AT_ONCE = 32
EXAMPLES = 5
ROUNDING = 1e-9
NOTICED_S = 3.0
ALARMS = ("a promise could not be kept", "dropped one log write", "a task of the engine died")


@dataclass
class Verdict:
    """What was found wrong; nothing is what is hoped for."""

    failures: list[str] = field(default_factory=list)
    log_length: int = 0

    def must(self, right: bool, sentence: str) -> None:
        """Note a sentence that ought to be true."""
        if not right:
            self.failures.append(sentence)

    def must_none(self, found: list[Any], sentence: str) -> None:
        """Note a sentence of which there are examples, with some of them."""
        self.must(not found, f"{len(found)} × {sentence}, e.g. {found[:EXAMPLES]}")


async def calm(world: World, patience_s: float) -> dict[str, Any] | str:
    """Wait until every replica has everything: its digest by name; else what is left to do."""
    deadline, before, left = time.monotonic() + patience_s, None, ""
    while time.monotonic() < deadline:
        looks = await asyncio.gather(
            *(asyncio.to_thread(_look, replica) for replica in world.replicas)
        )
        head = await asyncio.to_thread(world.head)
        left = "; ".join(f"{name}: {why}" for name, why, _ in looks if why)
        digests = {name: digest for name, _, digest in looks}
        behind = [name for name, d in digests.items() if not d or d["position"] != head]
        now = (head, digests)
        if not left and not behind and now == before:
            return digests
        left = left or f"behind the log's end at {head}: {behind} of {digests}"
        before = now
        await asyncio.sleep(0.5)
    return left


async def delivered(world: World, patience_s: float) -> bool:
    """Wait until nothing that was promised is on its way; False if the time is up before.

    A replica finds out within ``NOTICED_S`` that Redis has lost something.
    """
    now_s = time.monotonic
    until_s = now_s() + patience_s
    well_since_s = now_s()
    while now_s() < until_s:
        looks = [await asyncio.to_thread(each.look, "/readyz") for each in world.replicas]
        if not all(look and look["waiting"] == 0 for look in looks):
            well_since_s = now_s()
        elif now_s() - well_since_s > NOTICED_S:
            return True
        await asyncio.sleep(0.2)
    return False


def _look(replica: Replica) -> tuple[str, str, dict[str, Any] | None]:
    """A replica's name, what is not well with it, and its digest."""
    ready, arms = replica.look("/readyz"), replica.look(f"/v1/arms?router={ROUTER}&digest=true")
    well = {"status": "ready", "waiting": 0, "dropped": 0}
    ill = "" if ready and well.items() <= ready.items() else f"/readyz says {ready}"
    return replica.folder.name, ill, arms and arms["digest"]


async def judge(world: World, journal: Path, digests: dict[str, Any]) -> Verdict:
    """Everything that must hold once all is calm."""
    verdict = Verdict()
    said = await asyncio.to_thread(reference.spoken, journal)
    packed = await asyncio.to_thread(_read_log, world)
    log = list(reference.entries(packed))
    verdict.log_length = len(log)
    wanted = list(range(1, len(log) + 1))
    verdict.must([entry.position for entry in log] == wanted, "the log has a gap or was trimmed")
    async with _opened(world) as store:
        records = await _records(store, said)
    _judge_marks(verdict, said, records)
    _judge_chains(verdict, said, records, log)
    await asyncio.to_thread(_judge_sums, verdict, world, said, packed, log, digests)
    _judge_views(verdict, world, said)
    return verdict


def _judge_marks(
    verdict: Verdict, said: dict[str, Spoken], records: dict[str, DecisionRecord]
) -> None:
    """Every acknowledged word is in the state, and no source that nobody was."""
    lost, wrong, arms = [], [], []
    for id_, spoke in said.items():
        record = records.get(id_)
        marks = record.marks if record else {}
        kept = {source: _value(mark.kind, mark.score) for source, mark in marks.items()}
        final = {source: say and reference.value(say) for source, say in spoke.final.items()}
        if final and record is None:
            lost.append((id_, final))
        elif spoke.certain and kept != final:
            wrong.append((id_, kept, final))
        elif not all(_may_be(spoke, source, kept.get(source, ())) for source in spoke.words):
            wrong.append((id_, kept, final, "and words nobody acknowledged"))
        if record is not None and record.decision.arm_id != spoke.arm:
            arms.append((id_, record.decision.arm_id, spoke.arm))
    verdict.must_none(lost, "feedback was acknowledged and its decision is gone")
    verdict.must_none(wrong, "the marks differ from the last acknowledged words (kept, said)")
    verdict.must_none(arms, "the arm is another one than was answered")


def _value(kind: FeedbackKind, score: float | None) -> tuple[str, float] | None:
    return None if score is None else (str(kind), score)


def _may_be(spoke: Spoken, source: str, kept: Any) -> bool:
    """Whether a source's mark is its last acknowledged word, or one said after that."""
    heard = spoke.heard.get(source, -1)
    allowed: list[Any] = [
        say and reference.value(say) for say in spoke.words[source][max(heard, 0) :]
    ]
    return kept in allowed or (heard < 0 and kept == ())


def _judge_chains(
    verdict: Verdict,
    said: dict[str, Spoken],
    records: dict[str, DecisionRecord],
    log: list[Entry],
) -> None:
    """Nothing is learned twice, and nothing that nobody said."""
    last: dict[str, reference.Reading] = {}
    outcomes: dict[str, int] = defaultdict(int)
    broken, invented, strangers = [], [], []
    possible: dict[str, set[reference.Reading]] = {}
    for entry in log:
        if not entry.arm:
            continue
        if not entry.quality:
            outcomes[entry.decision_id] += 1
            continue
        if entry.old != last.get(entry.decision_id) or entry.voices[0] == entry.voices[1]:
            broken.append((entry.position, entry.decision_id))
        last[entry.decision_id] = entry.new
        spoke = said.get(entry.decision_id)
        if spoke is None:
            strangers.append(entry.decision_id)
            continue
        if entry.decision_id not in possible:
            possible[entry.decision_id] = reference.possible_readings(spoke)
        if entry.new not in possible[entry.decision_id]:
            invented.append((entry.position, entry.decision_id, entry.new))
    ends = []
    for id_, record in records.items():
        final = reading(record.marks)
        amounts = None if final is None else (final.quality, final.weight)
        if last.get(id_) != amounts:
            ends.append((id_, last.get(id_), amounts))
        if said[id_].certain and amounts != reference.reading(said[id_].final):
            ends.append((id_, amounts, "not as the reference"))
    twice = [id_ for id_, times in outcomes.items() if times > 1]
    verdict.must_none(broken, "an entry does not follow on the one before (position, decision)")
    verdict.must_none(invented, "an entry says what nobody said")
    verdict.must_none(strangers, "an entry is of a decision nobody was answered with")
    verdict.must_none(ends, "the log's last word is not what the marks amount to")
    verdict.must_none(twice, "an outcome is learned twice")


def _judge_sums(
    verdict: Verdict,
    world: World,
    said: dict[str, Spoken],
    packed: list[tuple[int, bytes]],
    log: list[Entry],
    digests: dict[str, Any],
) -> None:
    """The sums are those of the reference, and every replica knows what the log teaches."""
    features = build_engine(load(world.replicas[0].folder / "config.toml", {})).featurizer
    state = RouterState.empty(FeatureGroups(features.groups))
    state.fold(replace(unpack_evidence(data), position=position) for position, data in packed)
    payload = checkpoint.save(state, features.fingerprint).payload
    digest = {"position": len(log), "blake2b": blake2b(payload, digest_size=16).hexdigest()}
    for name, theirs in digests.items():
        verdict.must(theirs == digest, f"{name} knows {theirs}, the log teaches {digest}")
    expected, folded = reference.sums(log), state.quality.sums
    verdict.must(list(expected) == list(state.rows), "the arms of the state are not the log's")
    lower = np.tril_indices(len(features.groups))
    for arm, row in state.rows.items():
        ours = expected[arm]
        pairs = {
            "n": (folded.n[row], ours.n),
            "G": (folded.gram[row][lower], [v for values in ours.gram for v in values]),
            "b": (folded.moment[row], ours.moment),
            "s": (folded.square[row], ours.square),
        }
        for name, (found, wanted) in pairs.items():
            same = np.asarray(found).tobytes() == np.asarray(wanted).tobytes()
            verdict.must(same, f"{name} of {arm} is not the reference's, byte for byte")
    if all(one.certain for one in said.values()):
        _judge_totals(verdict, said, state)


def _judge_totals(verdict: Verdict, said: dict[str, Spoken], state: RouterState) -> None:
    """In whatever order: n and mean quality of each arm, from the accepted words alone."""
    means = state.quality.sums.mean()
    for arm, (n, mean, taught) in reference.totals(said.values()).items():
        row = state.rows.get(arm)
        verdict.must(row is not None, f"{arm} was never learned of")
        if row is not None:
            found = (state.quality.sums.n[row], means[row], state.quality.taught[row])
            right = np.allclose(found, (n, mean, taught), rtol=ROUNDING, atol=ROUNDING)
            verdict.must(bool(right), f"{arm} has n, mean, taught {found}, not {n, mean, taught}")


def _judge_views(verdict: Verdict, world: World, said: dict[str, Spoken]) -> None:
    """What replicas show is what was accepted, and their logs hold no alarm."""
    totals = reference.totals(said.values())
    for replica in world.replicas:
        shown = replica.look(f"/v1/arms?router={ROUTER}") or {"data": []}
        found = {arm["id"]: arm["feedback_n"] for arm in shown["data"] if arm["feedback_n"]}
        wanted = {arm: taught for arm, (_, _, taught) in totals.items()}
        if all(one.certain for one in said.values()):
            verdict.must(found == wanted, f"{replica.folder.name} shows {found}, not {wanted}")
        verdict.must_none(_alarms(replica), f"{replica.folder.name} logged an alarm")


def _alarms(replica: Replica) -> list[str]:
    found = []
    for line in replica.log.read_text(errors="replace").splitlines():
        with suppress(ValueError):  # what is said at a start is for people
            record = json.loads(line)
            ours = record["logger"].startswith("banditroute") or "exception" in record
            if (ours and record["level"] == "error") or record["message"] in ALARMS:
                found.append(line)
    return found


def _read_log(world: World) -> list[tuple[int, bytes]]:
    """Positions and packed entries of the whole log."""
    found: list[tuple[int, bytes]] = []
    with world.primary.client(timeout_s=30) as client:
        while page := client.xrange(LOG, f"({found[-1][0]}-0" if found else "-", count=PAGE):
            found += [(int(id_.partition(b"-")[0]), fields[b"e"]) for id_, fields in page]
    return found


@asynccontextmanager
async def _opened(world: World) -> AsyncIterator[Store]:
    """The store as it is, without proxy or outbox."""
    store = open_store(world.primary.url, decision_ttl_s=TTL_S, clock=time.time)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _records(store: Store, said: dict[str, Spoken]) -> dict[str, DecisionRecord]:
    """The decisions that are there, with their marks."""
    found, ids = {}, list(said)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        records = await asyncio.gather(*(store.find(ROUTER, id_) for id_ in some))
        found |= {id_: record for id_, record in zip(some, records, strict=True) if record}
    return found
