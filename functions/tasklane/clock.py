"""The real clock."""

import time


class SystemClock:
    """The machine's own time."""

    def now(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000
