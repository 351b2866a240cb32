"""What the judge may spend."""

from __future__ import annotations

from collections.abc import Callable

DAY_S = 86_400.0
SAVED = 1 / 8  # share of a day's dollars that may be saved up; the rest comes in over the day


class Budget:
    """A day's dollars, handed out evenly: no 24 hours ever see more than ``usd_per_day``.

    It starts empty, fills by 7/8 of that a day, and holds at most the other eighth. So nothing
    needs to be kept: a process that starts again loses what it had saved up and is granted
    nothing, however often it starts. A call that cost more than was reserved for it is paid
    off before the next one. ``monotonic`` gives seconds.
    """

    def __init__(self, usd_per_day: float, monotonic: Callable[[], float]) -> None:
        self.most_usd = SAVED * usd_per_day
        self._usd_per_s = (1.0 - SAVED) * usd_per_day / DAY_S
        self._monotonic = monotonic
        self._filled_s = monotonic()
        self._left_usd = 0.0
        self._reserved_usd = 0.0

    def reserve(self, usd: float) -> bool:
        """Set dollars aside for a call, until it is settled. False: there are not enough."""
        self._fill()
        if self._left_usd - self._reserved_usd < usd:
            return False
        self._reserved_usd += usd
        return True

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Pay for a call, and let go of what was reserved for it."""
        self._fill()
        self._reserved_usd -= reserved_usd
        self._left_usd -= spent_usd

    def _fill(self) -> None:
        now_s = self._monotonic()
        due_usd = self._usd_per_s * (now_s - self._filled_s)
        self._left_usd = min(self._left_usd + due_usd, self.most_usd)
        self._filled_s = now_s
