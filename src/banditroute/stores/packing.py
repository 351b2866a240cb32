"""Values as bytes and back, exactly: what every store keeps.

Layout: one version byte, the CRC-32 of the rest (little-endian), and a msgpack array whose
places are fixed below. Vectors x are float32 (they are exactly representable, see
:class:`~banditroute.values.Context`), every other float is float64; arrays are little-endian.
What was predicted of the arms is one packed array of shape (arms, 10). A decision over 10
arms with d = 90 takes 1,429 bytes (``tests/stores/test_packing.py`` measures it).

Reading raises StoreError for bytes that are damaged or of another version. Packing raises
InvalidRequest for a value without such a form, as an object inside ``metadata`` would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, TypeAlias
from zlib import crc32

import msgpack
import numpy as np

from banditroute.core import news
from banditroute.errors import InvalidRequest, StoreError
from banditroute.values import (
    Announcement,
    Candidate,
    Charge,
    Decision,
    Evidence,
    Feedback,
    FeedbackKind,
    Mark,
    Outcome,
    OutcomeEvidence,
    QualityEvidence,
    Reading,
    Retraction,
    Vector,
    Voice,
)

VERSION = 3
READABLE = (2, 3)  # before 3, a decision did not have what stands last in it

Packed: TypeAlias = bytes

_HEADER_BYTES = 5
_QUALITY_ENTRY, _OUTCOME_ENTRY, _NEWS_ENTRY = 0, 1, 2

# The places of the fields. Another order, or another field, is another VERSION.
_DECISION_2 = (
    *("id", "router", "arm_id", "propensity", "excluded", "fingerprint", "position", "policy"),
    *("floor", "seed", "answer_value_usd", "patience_s", "made_at_s", "input_tokens"),
    *("max_output_tokens", "explored", "degraded", "task", "tags", "session_id", "parent_id"),
    *("budget_price", "noise", "payers"),
)
_DECISION = (*_DECISION_2, "judged_share", "usual_cost_usd", "prompt")
_CANDIDATE = (
    *("probability", "quality", "quality_sd", "sampling_sd", "cost_usd", "latency_s"),
    *("error_rate", "utility", "input_usd_per_mtok", "output_usd_per_mtok"),
)
_OUTCOME = (
    *("decision_id", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd"),
    *("latency_s", "ttft_s", "error"),
)
_MARK = ("id", "score", "kind", "weight", "comment", "metadata", "granted")
_RETRACTION = ("id", "decision_id", "source")
_FEEDBACK = (
    *(*_RETRACTION, "score", "kind", "weight", "comment", "metadata", "granted", "charges"),
)
_ENTRY = ("position", "decision_id", "arm_id")
_QUALITY_EVIDENCE = (*_ENTRY, "propensity", "expected", "spread", "charges")
_OUTCOME_EVIDENCE = (
    *(*_ENTRY, "at_s", "output_tokens", "cost_usd", "latency_s", "ttft_s", "error", "payers"),
    "propensity",
)

_decision_fields = attrgetter(*_DECISION)
_candidate_numbers = attrgetter(*_CANDIDATE)
_outcome_fields = attrgetter(*_OUTCOME)
_mark_fields = attrgetter(*_MARK)
_feedback_fields = attrgetter(*_FEEDBACK)
_retraction_fields = attrgetter(*_RETRACTION)
_quality_evidence_fields = attrgetter(*_QUALITY_EVIDENCE)
_outcome_evidence_fields = attrgetter(*_OUTCOME_EVIDENCE)


def pack_decision(decision: Decision) -> Packed:
    """Everything that a decision says. Raises StoreError if x is no finite float32 vector."""
    arm_ids = [candidate.arm_id for candidate in decision.candidates]
    numbers = np.array([_candidate_numbers(c) for c in decision.candidates], dtype="<f8")
    return _pack(
        [*_decision_fields(decision), arm_ids, numbers.tobytes(), _pack_vector(decision.x)]
    )


def unpack_decision(data: Packed) -> Decision:
    """The decision that was packed."""
    with _refusing_damage("decision"):
        *plain, arm_ids, numbers, x = _unpack(data)
        named = _named(_DECISION_2 if len(plain) == len(_DECISION_2) else _DECISION, plain)
        named |= {name: tuple(named[name]) for name in ("tags", "payers")}
        return Decision(**named, candidates=_candidates(arm_ids, numbers), x=_unpack_vector(x))


def pack_outcome(outcome: Outcome) -> Packed:
    """Everything that an outcome says."""
    return _pack(list(_outcome_fields(outcome)))


def unpack_outcome(data: Packed) -> Outcome:
    """The outcome that was packed."""
    with _refusing_damage("outcome"):
        return Outcome(**_named(_OUTCOME, _unpack(data)))


def pack_outcomes(outcomes: Iterable[Outcome]) -> Packed:
    """Outcomes, in their order."""
    return _pack([list(_outcome_fields(outcome)) for outcome in outcomes])


def unpack_outcomes(data: Packed) -> list[Outcome]:
    """The outcomes that were packed."""
    with _refusing_damage("outcome"):
        return [Outcome(**_named(_OUTCOME, plain)) for plain in _unpack(data)]


def pack_marks(marks: Mapping[str, Mark]) -> Packed:
    """The marks on a decision by source, in their order."""
    packed = _pack([[source, *_mark_fields(mark)] for source, mark in marks.items()])
    if any(mark.metadata for mark in marks.values()):
        _check_depth(packed)
    return packed


def unpack_marks(data: Packed) -> dict[str, Mark]:
    """The marks that were packed."""
    with _refusing_damage("feedback"):
        return {source: _mark(plain) for source, *plain in _unpack(data)}


def pack_changes(changes: Iterable[Feedback | Retraction]) -> Packed:
    """Feedbacks and retractions, in their order."""
    packed = _pack(
        [
            list(_feedback_fields(c) if isinstance(c, Feedback) else _retraction_fields(c))
            for c in changes
        ]
    )
    _check_depth(packed)
    return packed


def unpack_changes(data: Packed) -> list[Feedback | Retraction]:
    """The feedbacks and retractions that were packed."""
    with _refusing_damage("feedback"):
        return [_change(plain) for plain in _unpack(data)]


def pack_evidence(entry: Evidence) -> Packed:
    """One entry of the log. Raises StoreError if x is no finite float32 vector."""
    if isinstance(entry, Announcement):
        return _pack([_NEWS_ENTRY, entry.position, *news.to_plain(entry.news)])
    x = _pack_vector(entry.x)
    if isinstance(entry, OutcomeEvidence):
        return _pack([_OUTCOME_ENTRY, x, *_outcome_evidence_fields(entry)])
    readings = _pack_reading(entry.old), _pack_reading(entry.new)
    return _pack([_QUALITY_ENTRY, x, *_quality_evidence_fields(entry), *readings])


def unpack_evidence(data: Packed) -> Evidence:
    """The entry that was packed."""
    with _refusing_damage("log entry"):
        kind, first, *plain = _unpack(data)
        if kind == _NEWS_ENTRY:
            return Announcement(position=first, news=news.from_plain(plain))
        x = _unpack_vector(first)
        if kind == _OUTCOME_ENTRY:
            named = _named(_OUTCOME_EVIDENCE, plain)
            return OutcomeEvidence(x=x, **{**named, "payers": tuple(named["payers"])})
        *place, old, new = plain
        before, after = _unpack_reading(old), _unpack_reading(new)
        named = _charged(_named(_QUALITY_EVIDENCE, place))
        return QualityEvidence(x=x, old=before, new=after, **named)


def _candidates(arm_ids: list[str], numbers: bytes) -> tuple[Candidate, ...]:
    rows = np.frombuffer(numbers, dtype="<f8").reshape(len(arm_ids), len(_CANDIDATE)).tolist()
    return tuple(
        Candidate(arm_id=arm_id, **_named(_CANDIDATE, row))
        for arm_id, row in zip(arm_ids, rows, strict=True)
    )


def _mark(plain: list[Any]) -> Mark:
    named = _named(_MARK, plain)
    return Mark(**{**named, "kind": FeedbackKind(named["kind"])})


def _change(plain: list[Any]) -> Feedback | Retraction:
    if len(plain) == len(_RETRACTION):
        return Retraction(**_named(_RETRACTION, plain))
    named = _charged(_named(_FEEDBACK, plain))
    return Feedback(**{**named, "kind": FeedbackKind(named["kind"])})


def _charged(named: dict[str, Any]) -> dict[str, Any]:
    return {**named, "charges": tuple(Charge(*charge) for charge in named["charges"])}


def _named(names: tuple[str, ...], plain: list[Any]) -> dict[str, Any]:
    return dict(zip(names, plain, strict=True))


def _pack_reading(reading: Reading | None) -> list[Any] | None:
    if reading is None:
        return None
    voices = [[voice.source, voice.score, voice.weight] for voice in reading.voices]
    return [reading.quality, reading.weight, voices]


def _unpack_reading(plain: list[Any] | None) -> Reading | None:
    if plain is None:
        return None
    quality, weight, voices = plain
    return Reading(quality, weight, tuple(Voice(*voice) for voice in voices))


def _pack_vector(x: Vector) -> bytes:
    with np.errstate(over="ignore"):
        single = x.astype("<f4")
    if not (np.isfinite(single).all() and np.array_equal(single, x)):
        raise StoreError("x cannot be kept as it is: not finite, or not representable in float32")
    return single.tobytes()


def _unpack_vector(data: bytes) -> Vector:
    x = np.frombuffer(data, dtype="<f4").astype(np.float64)
    x.setflags(write=False)
    return x


def _pack(places: list[Any]) -> Packed:
    try:
        body: bytes = msgpack.packb(places, default=_plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"a value cannot be kept: {error}", code="not_storable") from error
    return bytes([VERSION]) + crc32(body).to_bytes(4, "little") + body


def _check_depth(packed: Packed) -> None:
    """Refuse what is nested so deeply that msgpack writes it and then cannot read it."""
    try:
        _unpack(packed)
    except msgpack.UnpackException as error:
        raise InvalidRequest("metadata is nested too deeply", code="not_storable") from error


def _unpack(data: Packed) -> list[Any]:
    version, checksum, body = data[:1], data[1:_HEADER_BYTES], data[_HEADER_BYTES:]
    if not version or version[0] not in READABLE:
        raise StoreError(
            f"it is packed in version {version[0] if version else 'nothing'}, and this banditroute "
            f"reads up to version {VERSION}: use the banditroute that wrote it, or a newer one"
        )
    if crc32(body).to_bytes(4, "little") != checksum:
        raise StoreError("its checksum does not match: the bytes are damaged")
    places = msgpack.unpackb(body, strict_map_key=False)
    if not isinstance(places, list):
        raise TypeError("no array")
    return places


def _plain(value: Any) -> Any:
    """What msgpack does not know by itself but has a plain form."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} has no packed form")


@contextmanager
def _refusing_damage(what: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, KeyError, msgpack.UnpackException) as error:
        raise StoreError(f"it is not a packed {what}") from error
