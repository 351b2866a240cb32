"""A study's report: what stands in it, that it stands alone, and that it is always the same."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from report_examples import chapter, study

from banditroute.cli.demo import picture as demo_picture
from banditroute.errors import ConfigError, DataError
from banditroute.simulation.report import check, palette, write_report
from banditroute.simulation.report.numbers import (
    estimate,
    interval,
    signed,
    span,
)
from banditroute.simulation.report.series import paired

CHANGES = ((600, "the best arm fails"), (1_400, "it is back"))
WILD = ("<script>alert(1)</script>", "_under $x$ and $y$", "日本語", "line\nbreak\x07")


class Outline(HTMLParser):
    """The tags of a page with their attributes, in order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.fixture(scope="module")
def results():
    whole = chapter("drift", marks=CHANGES, budget_usd=1e-3)
    free = chapter("free", answer_value_usd=float("inf"), cost_usd=np.zeros(4))
    return study(whole, free, notes=("Costs are made up.",))


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return folder, write_report(results, folder / "new")


@pytest.fixture(scope="module")
def page(written):
    return (written[0] / "new" / "report.html").read_text(encoding="utf-8")


def pictures_of(page: str) -> list[str]:
    """Every embedded document."""
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    return [b64decode(document).decode() for document in found]


def test_every_picture_is_a_file_in_light_and_dark_and_as_png(written):
    folder, files = written
    names = {str(path.relative_to(folder / "new")) for path in files}
    kinds = ["reward", "regret", "frontier", "shares", "budget", "recovery"]
    stems = [f"drift-{kind}" for kind in kinds]
    stems += [f"free-{kind}" for kind in ("reward", "regret", "shares")]
    wanted = {f"pictures/{stem}{end}" for stem in stems for end in (".svg", ".png", "-dark.svg")}
    assert names == {"report.html", *wanted}
    assert all(path.stat().st_size > 1_000 for path in files)


def test_the_page_embeds_both_renderings_of_every_picture(page):
    outline = Outline(page)
    images, sources = outline.all("img"), outline.all("source")
    assert len(images) == len(sources) == 9
    assert all("prefers-color-scheme: dark" in (source["media"] or "") for source in sources)
    for image, source in zip(images, sources, strict=True):
        assert image["src"] != source["srcset"]


def test_the_page_refers_to_nothing_outside_itself(page):
    outline = Outline(page)
    for _, attributes in outline.tags:
        for name in ("src", "srcset", "href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("data:image/svg+xml;base64,", "#"))
    assert not outline.all("script", "link", "iframe", "object", "embed")
    assert "url(" not in page
    assert "@import" not in page


def test_no_picture_refers_to_anything_outside_itself(page):
    for document in pictures_of(page):
        addresses = re.findall(r'(?:href|src)="([^"]*)"', document)
        assert all(address.startswith("#") for address in addresses)
        assert "<!DOCTYPE" not in document
        assert ET.fromstring(document).tag.endswith("svg")


def test_headings_descend_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in Outline(page).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_table_header_has_a_scope_and_every_link_a_place(page):
    outline = Outline(page)
    assert {header["scope"] for header in outline.all("th")} == {"col", "row", "rowgroup"}
    places = {attributes.get("id") for _, attributes in outline.tags}
    assert {(link["href"] or "")[1:] for link in outline.all("a")} <= places
    assert outline.all("html")[0]["lang"] == "en"


def test_the_numbers_of_every_policy_stand_in_the_table_and_beside_the_pictures(page, results):
    outline = Outline(page)
    first = results.chapters[0]
    for policy in first.policies:
        utility = estimate([run.means.utility for run in first.of(policy)])
        assert interval(utility) in outline.text
    alts = [image["alt"] or "" for image in outline.all("img")]
    assert all(policy in alt for alt in alts[:6] for policy in first.policies)
    assert all(re.search(r"\d\.\d", alt) for alt in alts)


def test_a_difference_is_paired_by_seed_and_bold_where_its_interval_leaves_out_0(page, results):
    first = results.chapters[0]
    apart = estimate(paired(first, "random", "banditroute", lambda run: run.means.utility))
    assert apart.mean + apart.half < 0.0
    said = f"<strong>{signed(apart.mean)}</strong> <small>{span(apart)}</small>"
    assert said in page


def test_baselines_marks_notes_and_failed_calls_are_told(page):
    text = Outline(page).text
    for said in ("best single arm, in hindsight", "at request 600: the best arm fails"):
        assert said in text
    for said in ("Costs are made up.", "Calls that failed", "$1 per 1,000 requests"):
        assert said in text


def test_the_same_results_make_the_same_bytes(results, written, tmp_path):
    again = write_report(results, tmp_path)
    assert len(again) == len(written[1])
    for before, after in zip(written[1], again, strict=True):
        assert before.read_bytes() == after.read_bytes(), before.name


def test_names_that_could_harm_are_text(tmp_path):
    arms = ("<img src=x onerror=alert(2)>", "a\"b'c", "&amp;", "$1$")
    wild = chapter("</style><b>", WILD, seeds=1, arms=arms, marks=[(1_000, "<i>change</i>")])
    write_report(study(wild, title="<u>$title</u>", notes=("<hr>",)), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    outline = Outline(page)
    assert not outline.all("script", "i", "u", "hr")
    assert len(outline.all("img")) == 5
    assert all("onerror" not in image for image in outline.all("img"))
    assert "<script>alert(1)</script>" in outline.text
    assert "<u>$title</u>" in outline.text
    for document in pictures_of(page):
        drawn = ET.fromstring(document)
        assert not [part for part in drawn.iter() if part.tag.endswith("script")]
    assert "_under $x$ and $y$" in set(ET.fromstring(pictures_of(page)[0]).itertext())
    assert {path.parent for path in tmp_path.rglob("*.svg")} == {tmp_path / "pictures"}


def test_one_seed_has_no_intervals_and_says_so(tmp_path):
    write_report(study(chapter(seeds=1)), tmp_path)
    text = Outline((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "One seed was run, so there are no intervals." in text
    assert "±" not in text
    assert "nan" not in text


def test_a_page_for_eight_policies_in_three_scenarios_stays_small(tmp_path):
    policies = [f"policy-{number}" for number in range(8)]
    whole = chapter("a", policies, parts=300, marks=CHANGES, budget_usd=1e-3)
    write_report(study(whole), tmp_path)
    assert 3 * (tmp_path / "report.html").stat().st_size < 5_000_000


@pytest.mark.parametrize(
    "empty", [study(), study(replace(chapter("nobody"), runs=()))], ids=["no scenario", "no run"]
)
def test_a_study_in_which_nothing_was_run_is_refused_and_nothing_is_written(empty, tmp_path):
    with pytest.raises(DataError, match="run"):
        write_report(empty, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="taken"):
        check(tmp_path / "taken", "--out")


def test_a_missing_extra_is_named_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(palette, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"banditroute\[plots\]"):
        check(tmp_path)
    with pytest.raises(ConfigError, match=r"banditroute\[plots\]"):
        demo_picture.check(tmp_path / "demo.png")
