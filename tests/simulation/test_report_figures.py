"""The pictures of a report one by one, and the arithmetic behind them."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from report_examples import chapter

from banditroute.errors import DataError
from banditroute.simulation.report import figures, palette
from banditroute.simulation.report.changes import around, changes
from banditroute.simulation.report.names import clipped, short, slugs
from banditroute.simulation.report.numbers import (
    beside,
    dollars,
    estimate,
    given,
    interval,
    percent,
    span,
)
from banditroute.simulation.report.series import hull, mixed, moving, thinned

CHANGES = ((600, "the best arm fails"), (1_400, "it is back"))


@pytest.mark.parametrize("picture", figures.PICTURES, ids=lambda picture: picture.name)
def test_each_picture_is_a_figure_of_its_own(picture):
    whole = chapter(marks=CHANGES, budget_usd=1e-3)
    drawn = getattr(figures, picture.name)(whole)
    assert isinstance(drawn, Figure)
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    names = [clipped(policy) for policy in whole.policies]
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert set(names) <= {*legend, *titles}


def test_drawing_leaves_the_settings_of_the_reader_alone():
    before = dict(mpl.rcParams)
    figures.reward(chapter(), figures.DARK)
    assert dict(mpl.rcParams) == before


def test_a_legend_hides_no_data():
    drawn = figures.reward(chapter(policies=[f"policy-{number}" for number in range(12)]))
    drawn.draw_without_rendering()
    legend = drawn.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_tightbbox()) for axes in drawn.axes)
    assert legend.y0 >= 0.0


def test_a_dozen_policies_differ_by_more_than_their_colours():
    drawn = palette.pens([f"policy-{number}" for number in range(12)]).values()
    assert len({pen.marker for pen in drawn}) == 12
    assert len({(pen.colour, pen.dash) for pen in drawn}) == 12


def test_names_beside_points_do_not_cover_each_other():
    drawn = figures.frontier(chapter())
    drawn.draw_without_rendering()
    boxes = [note.get_window_extent() for note in drawn.axes[0].texts]
    assert len(boxes) == 4
    pairs = [(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]]
    assert not any(one.overlaps(other) for one, other in pairs)


def test_a_name_without_room_is_left_out_and_no_other_is_covered():
    arms = tuple(f"arm-{number}" for number in range(40))
    alike = np.linspace(0.7, 0.701, 40)
    crowd = replace(chapter(), arms=arms, arm_quality=alike, arm_cost_usd=alike / 100.0)
    drawn = figures.frontier(crowd)
    drawn.draw_without_rendering()
    boxes = [note.get_window_extent() for note in drawn.axes[0].texts]
    assert 0 < len(boxes) < 40
    pairs = [(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]]
    assert not any(one.overlaps(other) for one, other in pairs)


@pytest.mark.parametrize(("budget_usd", "scale"), [(6e-3, "linear"), (1e-4, "log")])
def test_overspending_many_times_is_drawn_to_a_log_scale_with_the_budget_in_sight(
    budget_usd, scale
):
    axes = figures.budget(chapter(budget_usd=budget_usd)).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == scale
    assert low < 1.0 < high


def test_every_change_has_a_panel_of_its_own():
    marks = [(at, f"change {at}") for at in (400, 800, 1_200, 1_600, 1_800)]
    drawn = figures.recovery(chapter(marks=marks[:3]))
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [
        *("400: change 400", "800: change 800", "1,200: change 1200")
    ]
    assert len(figures.recovery(chapter(marks=marks)).axes) == 4


def test_a_picture_of_what_is_not_there_is_refused_in_words():
    plain = chapter("calm")
    with pytest.raises(DataError, match="calm: there is no budget"):
        figures.budget(plain)
    with pytest.raises(DataError, match="calm: nothing changes"):
        figures.recovery(plain)
    assert [picture.name for picture in figures.pictures(plain)] == [
        *("reward", "regret", "frontier", "shares")
    ]


def test_the_best_static_mixes_are_the_concave_envelope():
    """(1, .2) lies under the line from (0, .1) to (2, .6); (3, .5) is dearer and worse."""
    cost, quality = np.array([3.0, 1.0, 0.0, 2.0, 4.0]), np.array([0.5, 0.2, 0.1, 0.6, 0.7])
    corners = hull(cost, quality)
    assert corners[0].tolist() == [0.0, 2.0, 4.0]
    assert corners[1].tolist() == [0.1, 0.6, 0.7]
    mixing = replace(chapter(), arm_cost_usd=cost, arm_quality=quality)
    assert mixed(mixing, 1.0) == pytest.approx(0.35)
    assert mixed(mixing, 9.0) == pytest.approx(0.7)
    assert np.isnan(mixed(replace(mixing, arm_cost_usd=cost + 1.0), 0.5))


def test_a_moving_mean_weighs_parts_by_their_sizes_and_grows_at_first():
    values, sizes = np.array([[1.0, 4.0, 7.0, 2.0]]), np.array([1.0, 2.0, 1.0, 1.0])
    assert moving(values, sizes, 2).tolist() == [[1.0, 3.0, 5.0, 4.5]]
    assert moving(values, sizes, 2, 2).tolist() == [[3.0, 5.0, 4.5]]
    assert thinned(1_000).size == 120
    assert thinned(1_000)[[0, -1]].tolist() == [0, 999]


def test_a_mean_of_recovery_is_never_of_both_sides_of_a_change():
    """Utility is 1 before and 0 after, so every mean is 0 before and −1 after."""
    calm = chapter(marks=[(1_000, "all break")])
    steps = [
        replace(run, curves=replace(run.curves, utility=np.where(calm.ends <= 1_000, 1.0, 0.0)))
        for run in calm.of("banditroute")
    ]
    (change,) = changes(calm)
    seen = around(calm, steps, change, lambda run: run.curves.utility)
    assert seen.mean[seen.at <= 0.0].tolist() == [0.0] * 10
    assert seen.mean[seen.at > 0.0].tolist() == [-1.0] * 20


def test_a_change_inside_a_part_leaves_that_part_out():
    inside = chapter(marks=[(1_010, "one"), (1_010, "two"), (1_900, "three")])
    first, second = changes(inside)
    assert first.what == "one; two"
    assert (first.before, first.after) == (slice(0, 20), slice(21, 38))
    assert (second.before, second.after) == (slice(21, 38), slice(38, 40))
    assert changes(chapter(marks=[(500, "a"), (1_990, "too late")]))[0].request == 500


def test_an_estimate_is_a_students_interval():
    """Mean 2, s = 1, n = 3: t(0.975, 2) = 4.30265, so ± 4.30265 / √3 = 2.4841."""
    assert estimate([1.0, 2.0, 3.0]).half == pytest.approx(2.484138, abs=1e-6)
    assert interval(estimate([1.0, 2.0, 3.0]), 2) == "2.00 ± 2.48"
    assert interval(estimate([0.5]), 2) == "0.50"
    assert span(estimate([1.0, 2.0, 3.0]), 1) == "[−0.5, +4.5]"


def test_numbers_read_as_a_reader_wants_them():
    assert [dollars(usd) for usd in (0.02934, 15.24, 1_240.0, 0.0)] == [
        *("$0.0293", "$15.2", "$1,240", "$0")
    ]
    assert [percent(share) for share in (0.98765, 1.0, -1e-9)] == ["98.8 %", "100 %", "0 %"]
    assert [beside(value) for value in (-0.1, 0.1, 1e-6)] == ["0.100 below", "0.100 above", "at"]
    assert [given(usd) for usd in (0.05, 20.0, 1.5)] == ["$0.05", "$20", "$1.5"]
    assert dollars(float("nan")) == "–"


def test_names_stay_apart_when_they_are_shortened():
    assert short(("a/x", "b/y")) == {"a/x": "x", "b/y": "y"}
    assert short(("a/x", "b/x")) == {"a/x": "a/x", "b/x": "b/x"}
    assert clipped("a" * 30 + "b" * 30) == "a" * 16 + "…" + "b" * 17
    assert slugs(["A b", "a-b", "../x", "日本"]) == ["a-b", "a-b-2", "x", "scenario"]
