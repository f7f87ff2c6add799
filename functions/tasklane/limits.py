"""Use case: limit how many tasks of a key run at once, and how fast they start."""

import logging
import random
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from tasklane.errors import Contended, LimitNotFound
from tasklane.line import NOTED_MS, limit_line, rate_line
from tasklane.lines import Lines
from tasklane.ports import Clock, ControlStore
from tasklane.release import CALLED_AT_ONCE, Release
from tasklane.throttle import CLOCKS_APART_MS, KEPT_MS, Limit, LimitState, Rate

logger = logging.getLogger(__name__)

KEYS: Final = 100
"""Limits that are read at once."""
TRIES: Final = 5
"""How often a limit is set because somebody else has set its rate meanwhile."""
VOIDED_MS: Final = 3_600_000
"""How long after a change of a rate tasks with a time slot by the old one are looked for."""


class ManageLimits:
    """Sets limits, and sees to it that who waits for one hears of it. Each method raises Unavailable."""

    def __init__(self, *, control: ControlStore, lines: Lines, release: Release, clock: Clock) -> None:
        self._control = control
        self._lines = lines
        self._release = release
        self._clock = clock

    def get(self, key: str) -> LimitState:
        """The limit of ``key`` and its use. Raises LimitNotFound."""
        state = self._control.limits([key]).get(key)
        if state is None:
            raise LimitNotFound(key)
        return state

    def list(self, limit: int, start: str | None = None) -> list[LimitState]:
        """At most ``limit`` limits in the order of their keys, those after the key ``start``."""
        found: list[LimitState] = []
        while len(found) < limit and (keys := self._control.limit_keys(start, limit)):
            # A key without a limit: whoever set or removed it died in between.
            states, start = self._control.limits(keys), keys[-1]
            found += [states[key] for key in keys if key in states]
        return found[:limit]

    def put(
        self,
        key: str,
        *,
        max_concurrent: int | None,
        rate: Rate | None,
        enough: Callable[[], bool] = lambda: False,
    ) -> LimitState:
        """Set the limit of ``key``; workers hear of it within seconds. What runs already goes on.

        With another rate, time slots that tasks were given before are void: they get others, soon where the rate is
        higher now, else when they come to start. Who waits and need not any more is let go until ``enough``; the
        sweeper goes on with the rest.
        """
        for number in range(TRIES):
            state = self._control.limits([key]).get(key)
            before = None if state is None else state.limit
            limit = self._new(before, key, max_concurrent, rate, number)
            faster = before is not None and _is_faster(before.rate, rate)
            if faster:
                self._control.note_waiting(key, self._clock.now() + NOTED_MS)
            if self._control.put_limit(limit, before=before):
                break
        else:
            raise Contended(f"the limit of {key} is being changed by others")
        state = LimitState(limit=limit, in_use=state.in_use if state else 0)
        if faster:
            self._void(key, state, enough)
        self._wake(key, state, enough)
        return state

    def _new(self, before: Limit | None, key: str, max_concurrent: int | None, rate: Rate | None, number: int) -> Limit:
        """What is to hold. Whoever had set one that is gone may have a clock that is ahead: so later each time."""
        if before is not None and before.rate == rate:
            return replace(before, max_concurrent=max_concurrent)
        since = max(self._clock.now() + (number + 1) * CLOCKS_APART_MS, before.since + 1 if before else 0)
        return Limit(key=key, max_concurrent=max_concurrent, rate=rate, since=since)

    def remove(self, key: str, enough: Callable[[], bool]) -> None:
        """Limit ``key`` no longer, and let go who waits for it until ``enough``. One that is not limited stays so."""
        # Not for a shorter time than a worker may have noted: it does not note again who joins the line meanwhile.
        self._control.note_waiting(key, self._clock.now() + NOTED_MS)
        self._control.remove_limit(key)
        self._look_after(key, None, enough)

    def sweep(self, enough: Callable[[], bool], strays: Collection[str] = ()) -> int:
        """Look after everybody who waits though there is room; how many were woken.

        Who frees a slot wakes the next itself: this is for what got lost on the way. ``strays`` are keys for which
        somebody has been found to wait, noted or not.
        """
        total = 0
        waited_for, now = self._control.waited_for(), self._clock.now()
        keys = sorted({*waited_for, *strays})
        random.shuffle(keys)  # where there is time for some of them only, the others have their turn next time
        for start in range(0, len(keys), KEYS):
            some = keys[start : start + KEYS]
            states = self._control.limits(some)
            for key in some:
                if enough():
                    break
                woken = self._look_after(key, states.get(key), enough)
                total += woken
                over = not woken and waited_for.get(key, now) < now
                if over and not self._lines.anybody_in(limit_line(key)):
                    self._control.forget_waiting(key, waited_for[key])
        if total:
            logger.info(
                "Tasks that waited though there was room were woken.", extra={"action": "woken", "count": total}
            )
        return total

    def _look_after(self, key: str, state: LimitState | None, enough: Callable[[], bool]) -> int:
        """Let go who need not wait any more; how many that were."""
        if state is not None and state.has_gaps(self._clock.now()):
            state = self._with_gaps_closed(state)
        return self._void(key, state, enough) + self._wake(key, state, enough)

    def _with_gaps_closed(self, state: LimitState) -> LimitState:
        """The limit after time slots that nobody will use were taken out: later ones are void now.

        Not those that are near: a worker may wait for one of them, or still know the limit as it was.
        """
        now = self._clock.now()
        limit = self._control.close_gaps(replace(state.limit, kept_until=now + KEPT_MS), now + CLOCKS_APART_MS)
        return state if limit is None else replace(state, limit=limit)

    def _void(self, key: str, state: LimitState | None, enough: Callable[[], bool]) -> int:
        """Let those have another time slot, or none, that have one by a rate which holds no more."""
        limit = None if state is None else state.limit
        if limit is not None and self._clock.now() - limit.since > VOIDED_MS:
            return 0
        # The longest reserved come first, so those with a slot by the rate of today are not gone through. Those whose
        # slots are kept since they are near stand before all others: hundreds by a high rate.
        return self._release.let_go(
            rate_line(key),
            enough,
            where=lambda task: limit is None or not limit.honours(task.reserved_at or 0, task.reserved_on or 0),
            past=lambda task: limit is not None and (task.reserved_on or 0) < limit.since,
        )[0]

    def _wake(self, key: str, state: LimitState | None, enough: Callable[[], bool]) -> int:
        room = None if state is None else state.room
        if room is None:
            return self._release.let_go(limit_line(key), enough)[0]
        return self._lines.wake(key, min(room, CALLED_AT_ONCE))


def _is_faster(old: Rate | None, new: Rate | None) -> bool:
    return old is not None and (new is None or new.interval_us < old.interval_us)
