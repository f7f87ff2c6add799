"""Keeps what is looked at again and again, as an open dashboard does, from filling the terminal."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_SECONDS: Final = 60.0
MOST: Final = 1_000
"""Addresses remembered; then all are forgotten, and shown once more."""


class OncePerMinute(logging.Filter):
    """Lets uvicorn's line about a reading that succeeded pass once a minute; every other line passes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._shown: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        if not isinstance(record.args, tuple) or len(record.args) != 5:
            return True
        _, method, address, _, status = record.args
        if method != "GET" or not isinstance(status, int) or status >= 400:
            return True
        now, address = self._clock(), str(address)
        if now - self._shown.get(address, now - QUIET_SECONDS) < QUIET_SECONDS:
            return False
        if len(self._shown) >= MOST:
            self._shown.clear()
        self._shown[address] = now
        return True
