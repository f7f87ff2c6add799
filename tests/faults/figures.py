"""What the test of a row counted, as the page shows it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a test counted.

    ``recovered_ms`` is the time from the fault to the last outcome, by the installation's clock; None where nothing
    had to be recovered. ``times_ms`` are what a row about times has instead: one for each that was tried.
    """

    tried: int
    lost: int
    doubled: int
    recovered_ms: int | None = None
    times_ms: tuple[int, ...] = ()

    @property
    def time(self) -> str:
        """A class and not the number, so that the page only changes when something did."""
        if self.times_ms:
            return f"p50 {_precise(self.percentile_ms(50))}, p99 {_precise(self.percentile_ms(99))}"
        if self.recovered_ms is None:
            return "–"
        limits = {
            5: "5 s",
            30: "30 s",
            60: "1 min",
            120: "2 min",
            240: "4 min",
            300: "5 min",
            420: "7 min",
            900: "15 min",
        }
        return next((f"< {word}" for limit, word in limits.items() if self.recovered_ms < limit * 1000), "longer")

    def percentile_ms(self, percent: int) -> int:
        """The time that so many of a hundred do not exceed."""
        return sorted(self.times_ms)[math.ceil(len(self.times_ms) * percent / 100) - 1]


def _precise(time_ms: int) -> str:
    return next((f"< {limit:g} s" for limit in (0.25, 1, 1.5, 2, 5, 30, 45, 60) if time_ms < limit * 1000), "> 1 min")
