"""A clock that several processes share and a test sets ahead: leases pass without anybody waiting for them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "FAULTS_CLOCK"
"""The environment variable that tells a process where its clock is."""


@dataclass(frozen=True, kw_only=True)
class SharedClock:
    """The machine's time plus the milliseconds in a file; ``skew_ms`` sets this one reader apart from the others."""

    path: Path
    skew_ms: int = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + int(self.path.read_text()) + self.skew_ms

    def advance_to(self, moment: int) -> None:
        """Set everybody's clock ahead to ``moment``; a moment in the past changes nothing."""
        ahead = int(self.path.read_text()) + max(0, moment - self.now())
        new = self.path.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(self.path)


STILL_VARIABLE: Final = "FAULTS_STILL_CLOCK"
"""The same for an engine's clock that stands still between a test's settings."""


@dataclass(frozen=True, kw_only=True)
class StillClock:
    """An engine's clock that a test sets, also back: the file holds the time itself (Unix milliseconds)."""

    path: Path

    def set(self, moment: int) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(str(moment))
        new.replace(self.path)

    def seconds(self) -> float:
        """The time in seconds, as a number with which the engine can count exactly: a second is as long, and what is
        later is greater, but a millisecond is the 1024th part."""
        seconds, milliseconds = divmod(int(self.path.read_text()), 1000)
        return seconds + milliseconds / 1024


def new_clock(folder: Path) -> SharedClock:
    """A clock that is right so far."""
    path = folder / "clock"
    path.write_text("0")
    return SharedClock(path=path)
