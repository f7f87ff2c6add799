"""Limits by key: how many tasks of a key run at once, and how fast they start. Pure decisions, no I/O.

A rate is kept by reservation (the virtual scheduling algorithm of ITU-T I.371, known as GCRA): each start moves one
number ahead, and what that number was says when the start may be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_KEY: Final = 200
"""Characters of the longest key."""
MAX_KEYS: Final = 10
"""Keys of one task; a transaction of the table takes a hundred items."""
HOLD_MS: Final = 3_000
"""A time slot that is no further off is waited for in the worker: a queue counts in seconds, a rate does not."""
LEAD_MS: Final = 250
"""A time slot is at least this far off when a task gets it: the start then waits for its moment, not for the table."""
MAX_LEAD_MS: Final = 1_000
"""The same where claims take long: twice as long as they do, but not longer than this."""
STRETCH: Final = 1.05
"""Starts are this much further apart than the rate says: a start that is a little late then breaks no window."""
LATE_PART: Final = 0.05
"""A start may be late by this part of the period, or by one interval, and still count as the reserved one."""
GAPS_MS: Final = 30_000
"""For shorter gaps that given-up time slots leave, nobody is given another one."""
GAPS_PART: Final = 0.1
"""Nor for gaps that are less than this part of the time that is reserved: each who moves up costs a write."""
KEPT_MS: Final = 10_000
"""Time slots that are no further off than this are kept when others move up: workers may hold them in their hands."""
CLOCKS_APART_MS: Final = 5_000
"""How much later a rate's ``since`` is than its writer's clock says: slots from clocks that are ahead are void, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """``count`` starts in ``period_ms``, evenly spread, of which ``burst`` may come at once."""

    count: int
    period_ms: int
    burst: int = 1

    @property
    def interval_us(self) -> int:
        """Microseconds from one start to the next."""
        return max(1, round(self.period_ms * 1000 * STRETCH / self.count))

    @property
    def tolerance_ms(self) -> int:
        """How late a start may be; later it needs another time slot, lest it come together with others."""
        return max(self.interval_us // 1000, round(self.period_ms * LATE_PART))

    def starts(self, base_us: int, now_us: int, count: int) -> list[int]:
        """When ``count`` starts may be (Unix milliseconds) whose reservations begin at ``base_us``."""
        ahead = (self.burst - 1) * self.interval_us
        return [max(now_us, base_us + n * self.interval_us - ahead) // 1000 for n in range(count)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What holds for the tasks that name ``key``. ``max_concurrent`` None, ``rate`` None: not limited so.

    ``since`` is ``CLOCKS_APART_MS`` after the rate was set: time slots reserved before that are void, but for those
    up to ``kept_until`` that were reserved since ``kept_since``. None by this rate says that it was reserved before.
    """

    key: str
    max_concurrent: int | None = None
    rate: Rate | None = None
    since: int = 0
    kept_until: int = 0
    kept_since: int = 0

    def honours(self, reserved_at: int, reserved_on: int) -> bool:
        """True where the time slot ``reserved_at``, reserved at the time ``reserved_on``, is not void."""
        return reserved_on >= self.since or (reserved_on >= self.kept_since and reserved_at <= self.kept_until)


class TimeSlot(NamedTuple):
    """When a task may start (Unix milliseconds), by the rate of which key, and when that was asked for.

    ``first``: an earlier slot, which it keeps by some of its rates.
    """

    at: int
    key: str
    reserved_on: int
    first: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitState:
    """A limit, and how many tasks count towards it now.

    By its rate, starts are reserved until ``reserved_until`` (Unix milliseconds; 0: none yet), of which ``given_up``
    will not be used: the tasks were called off, say. Those whose time has passed since are counted, too.
    """

    limit: Limit
    in_use: int
    reserved_until: int = 0
    given_up: int = 0

    @property
    def room(self) -> int | None:
        """How many more may run now; None: any number."""
        most = self.limit.max_concurrent
        return None if most is None else max(0, most - self.in_use)

    def has_gaps(self, now: int) -> bool:
        """True where so many time slots were given up that those who have later ones should move up."""
        rate, ahead = self.limit.rate, self.reserved_until - now
        gaps = 0 if rate is None else self.given_up * rate.interval_us // 1000
        return ahead > GAPS_MS and gaps >= max(GAPS_MS, ahead * GAPS_PART)


def concurrent_keys(limits: Sequence[Limit]) -> tuple[str, ...]:
    """The keys among these that limit how many run at once, in the one order in which they are always taken."""
    return tuple(sorted(limit.key for limit in limits if limit.max_concurrent is not None))


def has_rate(limits: Sequence[Limit]) -> bool:
    """True where one of these says how fast tasks start."""
    return any(limit.rate is not None for limit in limits)


def rated_keys(limits: Sequence[Limit]) -> tuple[str, ...]:
    """The keys among these that limit how fast tasks start."""
    return tuple(limit.key for limit in limits if limit.rate is not None)


def lead_ms(limits: Sequence[Limit], claim_ms: int = 0) -> int:
    """How far off a time slot must be at least where claims take ``claim_ms``.

    Nothing where the claim takes a slot that others wait for.
    """
    return 0 if concurrent_keys(limits) else min(max(LEAD_MS, 2 * claim_ms), MAX_LEAD_MS)


def is_valid(reserved_at: int | None, reserved_on: int | None, limits: Sequence[Limit], now: int) -> bool:
    """True where the time slot ``reserved_at``, reserved at the time ``reserved_on``, still may be used for a start.

    ``now`` is before the task is claimed, which takes time.
    """
    rated = [limit for limit in limits if limit.rate is not None]
    if reserved_at is None or reserved_on is None:
        return not rated
    late = now + lead_ms(limits) - reserved_at
    return all(
        limit.honours(reserved_at, reserved_on) and late <= limit.rate.tolerance_ms
        for limit in rated
        if limit.rate is not None
    )
