"""RouterBench: the pickled DataFrame ``routerbench_0shot.pkl`` or ``routerbench_5shot.pkl``.

One row a prompt, with sample_id, prompt, eval_name (the task), and for every model a column
MODEL with the score in [0, 1] and one ``MODEL|total_cost`` in dollars; those of
``MODEL|model_response`` and oracle_model_to_route_to are not used. A prompt is the text of a
Python list of turns; these are joined by line breaks. Verified against convertors/common.py of
the repository withmartian/routerbench and a published listing of the 0-shot file's columns;
the 5-shot file was not at hand. Needs pandas, and reads the pickle through :mod:`.unpickling`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, frame_rows
from banditroute.datasets.table import Table
from banditroute.datasets.unpickling import unpickled_frame
from banditroute.errors import DataError

COST = "|total_cost"
RESPONSE = "|model_response"


def read(path: Path) -> Table:
    """The table of one file."""
    frame = unpickled_frame(path)
    names = [name for name in frame.columns if isinstance(name, str)]
    arms = _arms(path, names)
    held = Gathering(str(path), {"quality": "{arm}", "cost_usd": "{arm}" + COST})
    used = {"sample_id", "prompt", "eval_name", *arms, *(arm + COST for arm in arms)}
    for row in frame_rows(str(path), frame, [name for name in names if name in used]):
        _add(held, row, arms)
    return held.table()


def _add(held: Gathering, row: Row, arms: Sequence[str]) -> None:
    sample = row.text("sample_id")
    if held.text(sample) is not None:
        raise row.error("sample_id", f"repeats {sample!r}; keep one of them")
    prompt = held.prompt(sample, _joined(row.text("prompt")), row.label("eval_name"))
    for arm in arms:
        held.outcome(row, prompt, arm, quality=row.amount(arm), cost_usd=row.amount(arm + COST))


def _arms(path: Path, names: Sequence[str]) -> list[str]:
    """The columns of scores: those with one of costs or responses beside them."""
    arms = [name for name in names if {name + COST, name + RESPONSE} & set(names)]
    if not arms:
        raise DataError(
            f"{path}: no column MODEL with one MODEL{COST} beside it;"
            " name routerbench_0shot.pkl or routerbench_5shot.pkl"
        )
    return arms


def _joined(prompt: str) -> str:
    """The turns of a prompt as one text; a prompt that is no list as it stands."""
    try:
        turns = ast.literal_eval(prompt)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return prompt
    return "\n".join(map(str, turns)) if isinstance(turns, list) else prompt
