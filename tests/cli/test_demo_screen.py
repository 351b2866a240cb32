"""What the demo shows while it runs, and how logs read."""

import io
import json
import logging

from rich.console import Console

from banditroute.cli.demo.screen import Screen, headline
from banditroute.cli.demo.tally import Tally
from banditroute.cli.logs import Fields, JsonLines


def shown(screen: Screen) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(screen)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def answer(tally: Tally, row: int, column: int) -> None:
    cells = tally.cells
    arm_id = cells.arm_ids[column]
    tally.add(row, arm_id, cells.quality[row, column], cells.cost_usd[row, column])


def test_before_the_first_answer_there_is_a_progress_bar_alone(tally):
    printed = shown(Screen(tally, 20))
    assert "0/20" in printed
    assert "quality" not in printed


def test_each_arm_is_shown_with_its_share_and_what_was_measured(tally):
    screen = Screen(tally, 20)
    for row, column in enumerate((0, 0, 0, 1)):
        answer(tally, row, column)
    tally.failed = 1
    printed = shown(screen)
    assert "5/20" in printed
    assert "75.0%" in printed
    assert f"{tally.cells.quality[3, 1]:.3f}" in printed
    assert "–" in printed  # the arms that nobody asked
    assert "against always" in printed


def test_always_taking_the_best_arm_is_as_good_as_the_best_arm(tally):
    for row in range(20):
        answer(tally, row, tally.cells.best)
    said = headline(tally).splitlines()[1]
    assert "0% cheaper, quality +0.000, reward +0.000" in said


def test_a_share_counts_answers_and_the_shares_sum_to_one(tally):
    for row, column in enumerate((0, 2, 2, 3)):
        answer(tally, row, column)
    assert tally.share().tolist() == [0.25, 0.0, 0.5, 0.25]


def record() -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": "arm failed", "levelname": "WARNING", "name": "b.d"})
    made.arm = "small"
    return made


def test_a_line_of_text_ends_with_the_fields():
    assert Fields("%(levelname)s %(message)s").format(record()) == "WARNING arm failed arm=small"


def test_a_line_of_json_holds_the_fields():
    line = json.loads(JsonLines().format(record()))
    assert (line["level"], line["message"], line["arm"]) == ("warning", "arm failed", "small")
