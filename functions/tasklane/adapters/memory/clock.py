"""A clock for tests."""


class ManualClock:
    """A clock that goes only when told to."""

    def __init__(self, now: int = 1_750_000_000_000) -> None:
        self._now = now

    def now(self) -> int:
        """See Clock."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self._now += round(seconds * 1000)
