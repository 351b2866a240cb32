"""Decision logs in files: exact in every form, whole at last, and refused when they are not."""

import gzip
from dataclasses import replace
from itertools import islice
from pathlib import Path

import arro3.io
import numpy as np
import orjson
import pytest
from row_examples import Records

from banditroute.errors import BanditrouteError, DataError
from banditroute.evaluation import reading as reading_module
from banditroute.evaluation import tails
from banditroute.evaluation import writing as writing_module
from banditroute.evaluation.reading import read_rows
from banditroute.evaluation.rows import Contents, Row, row_of
from banditroute.evaluation.writing import Form, Lines, open_draft

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
ALL = Contents(prompts=True, private=True)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(writing_module, "PAGE", 4)
    monkeypatch.setattr(writing_module, "ROW_GROUP", 6)


def rows_of(count: int, contents: Contents = ALL) -> list[Row]:
    records = Records("a", "b", "ü").varied(count)
    return [row_of(r, prompts=contents.prompts, private=contents.private) for r in records]


def draft_of(path: Path, contents: Contents = ALL, **how):
    form = Form.PARQUET if path.name.endswith(".parquet") else Form.JSONL
    return open_draft(path, form, contents, **how)


def write(path: Path, rows: list[Row], contents: Contents = ALL, **how) -> Path:
    """Export rows that come after what is in the file already."""
    with draft_of(path, contents, **how) as draft:
        for row in rows:
            if row["id"] > draft.last:
                draft.add(row)
        assert draft.finish() == path.stat().st_size
    assert [other.name for other in path.parent.glob(f"{path.name}*")] == [path.name]
    return path


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path) -> Path:
    return tmp_path / f"log{request.param}"


@pytest.mark.parametrize("contents", [ALL, Contents(), Contents(private=True)])
@pytest.mark.parametrize("count", [0, 1, 4, 23])
def test_what_is_read_is_what_was_written(path, contents, count):
    rows = rows_of(count, contents)
    assert list(read_rows(write(path, rows, contents))) == rows


def test_numbers_are_the_same_to_the_last_bit(path):
    rows = rows_of(3)
    rng = np.random.default_rng(5)
    hard = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1 / 3, -0.0, *rng.normal(size=50).tolist()]
    rows[0]["x"] = np.array(rng.normal(size=60), dtype=np.float32).astype(float).tolist()
    for row, number in zip(rows, hard, strict=False):
        row["noise"] = number
    candidates = [{**rows[1]["candidates"][0], "utility": number} for number in hard]
    rows[1] |= {"candidates": candidates, "arm": candidates[0]["arm"]}
    read = list(read_rows(write(path, rows)))
    assert read == rows
    assert [str(one["utility"]) for one in read[1]["candidates"]] == [str(n) for n in hard]


def test_lines_are_json_that_any_tool_reads(tmp_path):
    rows = rows_of(9)
    plain = write(tmp_path / "a.jsonl", rows).read_bytes()
    assert plain.count(b"\n") == 9
    assert [orjson.loads(line) for line in plain.splitlines()] == rows
    assert gzip.decompress(write(tmp_path / "a.jsonl.gz", rows).read_bytes()) == plain


def test_parquet_has_typed_columns(tmp_path):
    path = write(tmp_path / "a.parquet", rows_of(13))
    reader = arro3.io.read_parquet(str(path))
    types = {field.name: str(field.type) for field in reader.schema}
    assert tuple(types) == tuple(Row.__annotations__)
    assert "UInt64" in types["seed"]
    assert "Float32" in types["x"]
    assert types["candidates"].count("Float64") == 10
    assert types["excluded"].startswith("arro3.core.DataType<Map(")
    nullable = {field.name for field in reader.schema if field.nullable}
    assert nullable == {
        *("usual_cost_usd", "max_output_tokens", "task", "parent_id", "outcome", "feedback"),
        *("prompt", "session_id"),
    }
    assert reader.read_all().num_rows == 13


def cut(data: bytes, count: int) -> list[int]:
    """Places to cut a file off at, some of them at the ends."""
    return sorted({0, 1, len(data) - 1, len(data), *np.linspace(0, len(data), count).astype(int)})


def half_written(path: Path, rows: list[Row]) -> bytes:
    """The draft of a whole export that was not finished."""
    with draft_of(path) as draft:
        for row in rows:
            draft.add(row)
        draft._flush()
    data = draft.path.read_bytes()
    draft.path.unlink()
    return data


def test_an_export_that_was_cut_off_anywhere_comes_to_the_same_bytes(path, monkeypatch):
    monkeypatch.setattr(tails, "BLOCK_BYTES", 1000)
    rows = rows_of(14)
    whole = write(path, rows).read_bytes()
    path.unlink()
    written = half_written(path, rows)
    partial = path.with_name(f"{path.name}.partial")
    for length in cut(written, 40):
        partial.write_bytes(written[:length])
        assert write(path, rows, resume=True).read_bytes() == whole, length
        path.unlink()


def test_resuming_goes_on_after_the_last_whole_row(path):
    rows = rows_of(14)
    written = half_written(path, rows)
    path.with_name(f"{path.name}.partial").write_bytes(written[:-5])
    with draft_of(path, resume=True) as draft:
        lost = 2 if path.suffix == ".gz" else 1  # a page of lines is packed together
        assert draft.last == rows[-1 - lost]["id"]


def test_packed_pages_after_a_damaged_one_are_written_again(tmp_path):
    rows = rows_of(14)
    path = tmp_path / "a.jsonl.gz"
    whole = write(path, rows).read_bytes()
    path.unlink()
    written = bytearray(half_written(path, rows))
    written[len(written) // 2] ^= 0xFF
    (tmp_path / "a.jsonl.gz.partial").write_bytes(written)
    assert write(path, rows, resume=True).read_bytes() == whole


def test_pages_are_on_the_disk_every_now_and_then(path, monkeypatch):
    synced = []
    monkeypatch.setattr(writing_module, "SYNC_EVERY", 2)
    monkeypatch.setattr(writing_module.os, "fsync", synced.append)
    with draft_of(path) as draft:
        for row in rows_of(20):
            draft.add(row)
        assert len(synced) == 2


def test_what_came_since_is_added_to_a_whole_file(tmp_path):
    rows = rows_of(14)
    for name in ("a.jsonl", "a.jsonl.gz"):
        path = write(tmp_path / name, rows[:6], resume=True)
        assert list(read_rows(path)) == rows[:6]
        assert list(read_rows(write(path, rows, resume=True))) == rows
        assert list(read_rows(write(path, rows, resume=True))) == rows


def test_a_whole_parquet_file_names_the_way_on(tmp_path):
    rows = rows_of(6)
    path = write(tmp_path / "a.parquet", rows)
    before = path.read_bytes()
    with pytest.raises(DataError, match=f"--after {rows[-1]['id']}"):
        write(path, rows, resume=True)
    assert path.read_bytes() == before


def test_a_file_that_is_there_is_replaced_only_when_told_to(path):
    rows = rows_of(9)
    write(path, rows[:5])
    with pytest.raises(DataError, match="--force"):
        write(path, rows)
    assert list(read_rows(path)) == rows[:5]
    with draft_of(path, force=True) as draft:  # stopped on the way
        for row in rows:
            draft.add(row)
    assert list(read_rows(path)) == rows[:5]
    with pytest.raises(DataError, match="give --force as well"):
        write(path, rows, resume=True)
    assert list(read_rows(write(path, rows, resume=True, force=True))) == rows


def test_what_an_export_left_is_thrown_away_only_when_told_to(path):
    rows = rows_of(9)
    with draft_of(path) as draft:
        for row in rows:
            draft.add(row)
    with pytest.raises(DataError, match=r"partial .*--resume.*--force"):
        write(path, rows)
    with pytest.raises(DataError, match="only one"):
        write(path, rows, resume=True, force=True)
    assert list(read_rows(write(path, rows[2:], force=True))) == rows[2:]


def test_an_export_that_wrote_nothing_leaves_nothing(path):
    with draft_of(path):
        pass
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("other", [Contents(), Contents(prompts=True), Contents(private=True)])
def test_a_file_holds_the_same_of_every_row(path, other):
    rows = rows_of(9)
    with draft_of(path) as draft:
        for row in rows:
            draft.add(row)
    with pytest.raises(DataError, match="begun with --prompts and with --private"):
        write(path, rows_of(9, other), other, resume=True)


def test_two_exports_to_one_file_do_not_mix(path):
    rows = rows_of(9)
    with draft_of(path) as draft:
        for row in rows[:7]:
            draft.add(row)
        write(path, rows[:8], resume=True)
        with pytest.raises(DataError, match="something else writes"):
            draft.add(rows[7])


def test_a_page_has_a_bound_in_bytes_too(monkeypatch):
    monkeypatch.setattr(writing_module, "PAGE_BYTES", 10_000)
    rows, pages = rows_of(3), []
    rows[0]["prompt"] = "long" * 5_000
    lines = Lines(pages.append, ALL)
    for row in rows:
        lines.add(row)
    assert len(pages) == 1
    assert lines.finish() == sum(map(len, pages))
    assert len(pages) == 2


def test_what_json_cannot_hold_is_refused_by_its_id(path):
    row = rows_of(1)[0]
    row["task"] = "\ud800"
    with draft_of(path) as draft, pytest.raises(DataError, match=row["id"]):
        draft.add(row)


def test_a_partial_file_that_is_no_log_is_left_alone(tmp_path):
    partial = tmp_path / "a.jsonl.partial"
    partial.write_bytes(b"precious\n")
    with pytest.raises(DataError, match="no decision"):
        draft_of(tmp_path / "a.jsonl", resume=True)
    assert partial.read_bytes() == b"precious\n"


def test_parquet_that_cannot_be_made_leaves_what_it_is_made_of(tmp_path, monkeypatch):
    rows = rows_of(5)
    path = tmp_path / "a.parquet"
    with monkeypatch.context() as patched, draft_of(path) as draft:
        patched.setattr(writing_module, "COMPRESSION", "none of those")
        for row in rows:
            draft.add(row)
        with pytest.raises(BanditrouteError, match="--resume"):
            draft.finish()
    assert [other.name for other in tmp_path.iterdir()] == ["a.parquet.partial"]
    assert list(read_rows(write(path, rows, resume=True))) == rows


def test_parquet_that_was_killed_in_the_making_is_made_again(tmp_path):
    rows = rows_of(5)
    path = tmp_path / "a.parquet"
    (tmp_path / "a.parquet.partial").write_bytes(half_written(path, rows))
    (tmp_path / "a.parquet.whole").write_bytes(b"PAR1, and then the plug was pulled")
    assert list(read_rows(write(path, rows, resume=True))) == rows


def lines_with(tmp_path: Path, change) -> Path:
    """Three rows, the second of which is changed."""
    rows = [orjson.loads(orjson.dumps(row)) for row in rows_of(3)]
    changed = change(rows[1])
    rows[1] = rows[1] if changed is None else changed
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.pop("propensity") and None, "propensity is missing"),
        (lambda row: row["candidates"][0].pop("quality") and None, "candidates.0.quality is miss"),
        (lambda row: row.update(schema=2), "newer banditroute (schema 2, this one reads 1)"),
        (lambda row: row.update(propensity=0.0), "propensity is wrong (input should be greater"),
        (lambda row: row.update(propensity=1.5), "propensity is wrong"),
        (
            lambda row: row.update(propensity="0.5"),
            "propensity is wrong (input should be a",
        ),
        (lambda row: row.update(patience_s=None), "patience_s is wrong"),
        (lambda row: row.update(candidates=[]), "candidates is wrong"),
        (lambda row: row["candidates"][1].update(probability=-0.1), "candidates.1.probability"),
        (lambda row: row["feedback"].update(quality=1.01), "feedback.quality is wrong"),
        (lambda row: row.update(x=[1, None]), "x.1 is wrong"),
        (lambda row: row.update(arm="nobody"), "arm is none of the candidates"),
        (lambda row: [], "it is wrong"),
        (lambda row: {"a": 1}, "schema is missing; id is missing; router is missing; and"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_place(tmp_path, change, says):
    path = lines_with(tmp_path, change)
    rows = read_rows(path)
    assert next(rows)["schema"] == 1
    with pytest.raises(DataError) as caught:
        next(rows)
    assert str(caught.value).startswith(f"{path}, line 2")
    assert says in str(caught.value)


def test_a_refusal_does_not_repeat_what_a_row_says(tmp_path):
    path = lines_with(tmp_path, lambda row: row.update(position="my secret", prompt=["my secret"]))
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert "secret" not in str(caught.value)


def test_keys_that_nobody_knows_are_dropped(tmp_path):
    rows = list(read_rows(lines_with(tmp_path, lambda row: row.update(mine=1))))
    assert "mine" not in rows[1]


@pytest.mark.parametrize("damage", [b"{]\n", b"\n", b"\xff\n", b"NaN\n"])
def test_a_damaged_line_is_refused_with_its_number(tmp_path, damage):
    path = write(tmp_path / "a.jsonl", rows_of(2))
    path.write_bytes(path.read_bytes() + damage)
    rows = read_rows(path)
    assert len(list(islice(rows, 2))) == 2
    with pytest.raises(DataError, match="line 3 is not JSON"):
        next(rows)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_file_that_was_cut_short_says_so(tmp_path, suffix):
    rows = rows_of(3)
    path = write(tmp_path / f"a{suffix}", rows)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"cut short.*--resume"):
        list(read_rows(path))
    assert list(read_rows(write(path, rows, resume=True))) == rows


def test_a_last_line_without_an_end_is_whole_if_it_is_json(tmp_path):
    rows = rows_of(2)
    path = write(tmp_path / "a.jsonl", rows)
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_rows(path)) == rows


def test_packed_lines_that_are_damaged_are_refused(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", rows_of(9))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be unpacked|is not JSON"):
        list(read_rows(path))
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="line 1 cannot be unpacked"):
        list(read_rows(path))


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = write(tmp_path / "a.parquet", rows_of(30))
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(DataError, match="not a complete Parquet file"):
        list(read_rows(path))
    path.write_bytes(data[:-60] + bytes(52) + data[-8:])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        list(read_rows(path))


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    table = arro3.io.read_parquet(str(write(tmp_path / "b.parquet", rows_of(1)))).read_all()
    arro3.io.write_parquet(table.select(["id", "router"]), str(path))
    with pytest.raises(DataError, match=r"row 1: \w+ is missing"):
        list(read_rows(path))


def test_a_line_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_module, "MOST_LINE_BYTES", 100)
    path = write(tmp_path / "a.jsonl", rows_of(1))
    with pytest.raises(DataError, match="longer than 100 bytes"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["missing.jsonl", "folder.jsonl", "log.csv"])
def test_what_is_no_decision_log_is_refused(tmp_path, name):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "log.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=name):
        list(read_rows(tmp_path / name))


def test_a_breaking_change_of_the_row_is_another_number():
    """What a log of today holds. Change this test only together with SCHEMA."""
    row = rows_of(2)[1]
    assert row["schema"] == 1
    text = " ".join([*row, *row["candidates"][0], *row["outcome"], *row["feedback"]])
    assert text == (
        "schema id router made_at_s position arm propensity policy floor seed answer_value_usd "
        "patience_s budget_price noise judged_share usual_cost_usd input_tokens max_output_tokens "
        "task tags explored degraded parent_id fingerprint x candidates excluded outcome feedback "
        "prompt session_id payers "
        "arm probability quality quality_sd sampling_sd cost_usd latency_s error_rate utility "
        "input_usd_per_mtok output_usd_per_mtok "
        "input_tokens output_tokens cached_input_tokens cost_usd latency_s ttft_s error "
        "quality weight sources"
    )


def test_a_word_may_have_metadata_of_any_shape(path):
    records = Records()
    decision = records.decision()
    said = [replace(records.said(decision, 0.5), metadata={"a": [1, {"b": None}], "ü": "\n"})]
    row = row_of(records.record(decision, *said), private=True)
    assert list(read_rows(write(path, [row], Contents(private=True)))) == [row]
