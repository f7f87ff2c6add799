"""Waiting for a condition: no test sleeps for a time that somebody guessed."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

PATIENCE_SECONDS = 60.0
"""Far longer than anything takes; only a test that fails waits so long."""


def never() -> bool:
    """What is said of time that is not up."""
    return False


def wait_for(
    condition: Callable[[], _T | None],
    what: str = "",
    *,
    pause: Callable[[], None] = lambda: time.sleep(0.02),
    seconds: float = PATIENCE_SECONDS,
) -> _T:
    """What ``condition`` gives as soon as that is true; ``pause`` lets time pass between two looks.

    ``what`` is waited for, in the words of whoever has to find out why it did not come.
    """
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"it did not come true within {seconds:g} s: {what or condition}")
        pause()
    return found
