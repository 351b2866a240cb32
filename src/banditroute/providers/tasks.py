"""Which task a prompt is, by rules that anybody can read.

Good enough for a simulated world whose arms differ by task; real requests carry their task
in ``banditroute.task``.
"""

from __future__ import annotations

import re

DEFAULT_TASK = "chat"

# The first rule that matches wins: what is done to a text comes before what the text is about.
_RULES = {
    "translation": r"\btranslat|\b(in|into) (french|german|spanish|italian|japanese|polish)\b",
    "summary": r"\bsummar|\btl;?dr\b|\bkey points\b|\bcondense\b|\bin (one|two) sentences?\b",
    "code": r"```|\b(python|javascript|typescript|rust|java|sql|bash|regex|regular expression"
    r"|function|unit test|stack trace|refactor|compiler?|code)\b",
    "maths": r"\d\s*[-+*/^=×÷]\s*\d|\b(solve|calculate|compute|integral|derivative|probability"
    r"|equation|percent|average|divisible|how many|how much is)\b",
    "support": r"\b(refund|order|invoice|password|account|delivery|parcel|subscription|warranty"
    r"|charged|customer|return label)\b",
}
_COMPILED = {task: re.compile(rule, re.IGNORECASE) for task, rule in _RULES.items()}

TASKS = (*_RULES, DEFAULT_TASK)


def task_of(prompt: str) -> str:
    """The task of a prompt, one of ``TASKS``."""
    head = prompt[:4000]  # bounds the time; what is asked stands at the beginning
    return next((task for task, rule in _COMPILED.items() if rule.search(head)), DEFAULT_TASK)
