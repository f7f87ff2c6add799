"""Use case: limit how many tasks of a key run at once, and how fast they start."""

import logging
from collections.abc import Callable
from typing import Final

from tasklane.errors import LimitNotFound
from tasklane.line import limit_line
from tasklane.lines import Lines
from tasklane.ports import Clock, ControlStore
from tasklane.throttle import Limit, LimitState, Rate

logger = logging.getLogger(__name__)

WOKEN_AT_ONCE: Final = 100
"""How many that wait for one key are woken in one go; the others follow when those end, or with the next sweep."""


class ManageLimits:
    """Sets limits, and sees to it that who waits for one hears of it. Each method raises Unavailable."""

    def __init__(self, *, control: ControlStore, lines: Lines, clock: Clock) -> None:
        self._control = control
        self._lines = lines
        self._clock = clock

    def get(self, key: str) -> LimitState:
        """The limit of ``key`` and its use. Raises LimitNotFound."""
        state = self._control.limits([key]).get(key)
        if state is None:
            raise LimitNotFound(key)
        return state

    def list(self, limit: int, start: str | None = None) -> list[LimitState]:
        """At most ``limit`` limits in the order of their keys, those after the key ``start``."""
        keys = self._control.limit_keys(start, limit)
        states = self._control.limits(keys) if keys else {}
        return [states[key] for key in keys if key in states]

    def put(self, key: str, *, max_concurrent: int | None, rate: Rate | None) -> LimitState:
        """Set the limit of ``key``; workers hear of it within seconds. What runs already goes on.

        With another rate, time slots that tasks were given before are void: they get others when they come to start.
        """
        now = self._clock.now()
        before = self._control.limits([key]).get(key)
        same = before is not None and before.limit.rate == rate
        since = before.limit.since if same and before is not None else now
        limit = Limit(key=key, max_concurrent=max_concurrent, rate=rate, since=since)
        self._control.put_limit(limit, restart=not same)
        state = LimitState(limit=limit, in_use=before.in_use if before else 0)
        self._look_after(key, state)
        return state

    def remove(self, key: str, enough: Callable[[], bool]) -> None:
        """Limit ``key`` no longer, and let go who waits for it until ``enough``. One that is not limited stays so."""
        self._control.remove_limit(key)
        self._control.note_waiting(key, self._clock.now())
        self._lines.let_go(limit_line(key), enough)

    def sweep(self, enough: Callable[[], bool]) -> int:
        """Look after everybody who waits though there is room; how many were woken.

        Who frees a slot wakes the next itself: this is for what got lost on the way.
        """
        total = 0
        for key, until in self._control.waited_for().items():
            if enough():
                break
            woken = self._look_after(key, self._control.limits([key]).get(key), enough)
            total += woken
            if not woken and until < self._clock.now() and not self._lines.anybody_in(limit_line(key)):
                self._control.forget_waiting(key, until)
        if total:
            logger.info(
                "Tasks that waited though there was room were woken.", extra={"action": "woken", "count": total}
            )
        return total

    def _look_after(self, key: str, state: LimitState | None, enough: Callable[[], bool] = lambda: False) -> int:
        room = None if state is None else state.room
        if room is None:
            return self._lines.let_go(limit_line(key), enough)[0]
        return self._lines.wake(key, min(room, WOKEN_AT_ONCE))
