"""What a decision's row says, and what it leaves out."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from row_examples import Records

from banditroute.core.feedback import reading
from banditroute.evaluation.reading import parse_line
from banditroute.evaluation.rows import CandidateRow, Contents, FeedbackRow, OutcomeRow, Row, row_of
from banditroute.values import Candidate, Decision, DecisionRecord, Outcome

ROOT = Path(__file__).parents[2]
SECRETS = ("whisper", "key:ann", "a comment", "a person", "a prompt")


@pytest.fixture
def records() -> Records:
    return Records()


def test_a_row_says_all_that_is_known(records):
    record = records.told()
    row, decision, heard = row_of(record), record.decision, reading(record.marks)
    assert row["schema"] == 1
    assert row["arm"] == decision.arm_id
    same = {f.name for f in fields(Decision)} & set(row) - {"x", "candidates", "tags"}
    assert {name: row[name] for name in same} == {name: getattr(decision, name) for name in same}
    assert row["tags"] == list(decision.tags)
    assert np.array_equal(np.array(row["x"]), decision.x)
    for said, candidate in zip(row["candidates"], decision.candidates, strict=True):
        assert {**said, "arm_id": said["arm"]} == {**candidate._asdict(), "arm": candidate.arm_id}
    assert {**row["outcome"], "decision_id": decision.id} == {
        f.name: getattr(record.outcome, f.name) for f in fields(Outcome)
    }
    assert row["feedback"] == {
        "quality": heard.quality,
        "weight": heard.weight,
        "sources": {
            "user": {"score": 0.25, "kind": "score", "weight": 1.0},
            "judge": {"score": 1.0, "kind": "thumbs", "weight": 0.5},
        },
    }


def test_every_field_of_a_decision_has_its_place_in_a_row():
    """A field that is added to a decision is exported too, or named here."""
    renamed = {"arm_id"}
    assert {f.name for f in fields(Decision)} - renamed <= set(Row.__annotations__)
    assert set(Candidate._fields) - renamed <= set(CandidateRow.__annotations__)
    assert {f.name for f in fields(Outcome)} - {"decision_id"} == set(OutcomeRow.__annotations__)


def test_a_row_does_not_say_who_asked_what(records):
    record = records.told()
    text = json.dumps(row_of(record))
    assert not [secret for secret in SECRETS if secret in text]
    assert Contents.of(row_of(record)) == Contents()


def test_what_is_private_and_the_prompt_are_said_when_asked_for(records):
    row = row_of(records.told(), private=True, prompts=True)
    assert Contents.of(row) == Contents(prompts=True, private=True)
    assert row["session_id"] == "whisper"
    assert row["payers"] == ["key:ann"]
    assert json.loads(row["prompt"]) == [{"role": "user", "content": "a prompt"}]
    word = row["feedback"]["sources"]["user"]
    assert word["comment"] == "a comment"
    assert word["metadata"]["who"] == "a person"


def test_the_prompt_is_not_private_by_itself(records):
    row = row_of(records.told(), prompts=True)
    assert Contents.of(row) == Contents(prompts=True)
    assert not [s for s in SECRETS[:-1] if s in json.dumps(row)]


def test_words_that_count_for_nothing_are_left_out(records):
    decision = records.decision()
    kept = records.said(decision, 0.5)
    capped = records.said(decision, 1.0, source="many", granted=0.0)
    said = records.said(decision, 0.0, source="sorry")
    taken_back = records.taken_back(decision, "sorry")
    row = row_of(records.record(decision, kept, capped, said, taken_back))
    assert row["feedback"]["quality"] == 0.5
    assert set(row["feedback"]["sources"]) == {"user"}
    assert row_of(records.record(decision, said, taken_back))["feedback"] is None


def test_nothing_known_is_none_and_never_zero(records):
    row = row_of(DecisionRecord(records.decision()))
    assert (row["outcome"], row["feedback"], row["usual_cost_usd"]) == (None, None, None)


def table_keys(text: str) -> set[str]:
    """The keys that the tables of a document explain."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key.strip("` ") for cell in cells for key in cell.split(",")}


def test_every_key_is_explained():
    text = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    keys = {
        *Row.__annotations__,
        *(f"candidates[].{name}" for name in CandidateRow.__annotations__),
        *(f"outcome.{name}" for name in OutcomeRow.__annotations__),
        *(f"feedback.{name}" for name in FeedbackRow.__annotations__),
    }
    assert keys <= table_keys(text)


def test_the_example_in_the_document_is_a_row():
    text = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    assert set(parse_line(example.encode(), "docs/log.md")) == set(Row.__annotations__) - {
        *("prompt", "session_id", "payers"),
    }
