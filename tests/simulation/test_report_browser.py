"""A report as a reader sees it: opened in a real browser, wide and narrow, light and dark."""

import numpy as np
import pytest
from browsing import CHROMIUM, chromium
from report_examples import chapter, study

from banditroute.simulation.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")

WIDTHS = (400, 1_200)
SCHEMES = (False, True)
OVERFLOWING = """
  [...document.querySelectorAll("body *")]
    .filter(part => !part.parentElement.closest(".wide, caption") && part.tagName !== "CAPTION")
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.tagName)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    marks = [(600, "the best arm fails")]
    policies = ("banditroute", "<script>document.title = 'harmed'</script>", "random")
    drift = chapter("drift", policies, marks=marks, budget_usd=1e-3)
    folder = tmp_path_factory.mktemp("report")
    write_report(study(drift, chapter("plain")), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def pages(browser, address):
    return {
        (width, dark): browser.open(address, width, dark=dark)
        for width in WIDTHS
        for dark in SCHEMES
    }


@pytest.fixture(params=WIDTHS)
def width(request):
    return request.param


@pytest.fixture(params=SCHEMES, ids=["light", "dark"])
def page(request, pages, width):
    return pages[width, request.param]


def brightness(picture: np.ndarray) -> float:
    return float(picture.mean() / 255.0)


def test_no_request_leaves_the_page(page, address):
    assert page.requested == [address]


def test_the_console_is_silent(page):
    assert page.complaints == []


def test_every_picture_is_there_and_has_its_shape(page):
    sizes = page.value(
        "[...document.images].map(i => [i.naturalWidth / i.naturalHeight, i.width, i.height])"
    )
    assert len(sizes) == 10
    for shape, wide, high in sizes:
        assert wide > 300
        assert high > 150
        assert wide / high == pytest.approx(shape, rel=0.02)


def test_nothing_reaches_over_the_edge_of_the_page(page, width):
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(OVERFLOWING) == []


def test_what_is_too_wide_scrolls_in_a_box_of_its_own(pages):
    narrow = pages[400, False]
    boxes = narrow.value(
        "[...document.querySelectorAll('.wide')].map(b => [b.scrollWidth, b.clientWidth])"
    )
    assert any(inside > outside for inside, outside in boxes)
    assert all(outside <= 400 for _, outside in boxes)
    styles = narrow.value(
        "[...document.querySelectorAll('.wide')].map(b => getComputedStyle(b).overflowX)"
    )
    assert set(styles) == {"auto"}


def test_tables_fit_a_wide_page(pages):
    boxes = pages[1_200, False].value(
        "[...document.querySelectorAll('.wide')].map(b => b.scrollWidth - b.clientWidth)"
    )
    assert max(boxes) <= 0


def test_the_text_is_there(page):
    text = page.value("document.body.innerText")
    for said in ("Does it learn?", "What was run", "banditroute", "made-up data, 4 arms"):
        assert said in text
    assert page.value("document.title") == "Does it learn?"


def test_a_policy_that_is_called_like_a_script_is_not_run(page):
    assert page.value("document.title") != "harmed"
    assert page.value("document.scripts.length") == 0
    assert "<script>document.title" in page.value("document.body.innerText")


def test_dark_and_light_show_different_pictures(pages, width):
    light, dark = pages[width, False], pages[width, True]
    shown = "[...document.images].map(image => image.currentSrc)"
    pairs = zip(light.value(shown), dark.value(shown), strict=True)
    assert all(bright != dim for bright, dim in pairs)


def test_a_dark_page_is_dark_and_a_light_one_light(pages, width):
    assert brightness(pages[width, False].picture()) > 0.85
    assert brightness(pages[width, True].picture()) < 0.25


def test_the_page_can_be_printed(pages):
    printed = pages[1_200, True].printed()
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_a_page_that_reaches_out_would_be_noticed(browser, tmp_path):
    """What the other tests rely on: requests, complaints and overflow are seen."""
    outside = "http://127.0.0.1:9/picture.png"
    bad = f"<!DOCTYPE html><body><script src='{outside}'></script><p style='width: 2000px'>a"
    (tmp_path / "bad.html").write_text(bad, encoding="utf-8")
    page = browser.open((tmp_path / "bad.html").as_uri(), 400)
    assert outside in page.requested
    assert page.complaints
    assert "P" in page.value(OVERFLOWING)
