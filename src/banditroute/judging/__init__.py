"""A judge: an arm that grades a share of the answers, off the request path.

``hearing`` collects an answer's text; ``prompt`` says what the judge is asked, ``verdict`` what
its reply amounts to; ``budget`` bounds what it spends; ``judge`` puts them to work.
"""

from banditroute.judging.budget import Budget
from banditroute.judging.hearing import Hearing
from banditroute.judging.judge import Fate, Judge, JudgeSpec

__all__ = ["Budget", "Fate", "Hearing", "Judge", "JudgeSpec"]
