"""What may be spent, and by whom: ``[routers.budget]`` and ``[[budgets]]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from banditroute.config.fields import Dollars, Share, TaskName, Word
from banditroute.config.table import Table
from banditroute.core.pacing import Budget


class RouterBudget(Table):
    """``[routers.budget]``: what a router may spend, and how good its answers must be."""

    usd_per_request: Dollars | None = None
    usd_per_day: Dollars | None = None
    usd_per_month: Dollars | None = None
    min_quality: Share | None = None
    when_spent: Literal["cheapest", "refuse"] = "cheapest"

    def to_budget(self, payer: str) -> Budget:
        """The budget of a payer, as the rest of the house knows it."""
        return Budget(
            payer=payer,
            usd_per_request=self.usd_per_request,
            usd_per_day=self.usd_per_day,
            usd_per_month=self.usd_per_month,
            least_quality=self.min_quality,
            refuse=self.when_spent == "refuse",
        )


class BudgetSettings(RouterBudget):
    """``[[budgets]]``: the same for the requests of one key, or for those with one tag."""

    tag: TaskName | None = None
    key: Word | None = None
    routers: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] = ("*",)

    @property
    def payer(self) -> str:
        """Who pays, as decisions name it."""
        return f"tag:{self.tag}" if self.key is None else f"key:{self.key}"


LIMITS = ("usd_per_request", "usd_per_day", "usd_per_month", "min_quality")
