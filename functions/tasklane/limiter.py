"""Knows the limits, and plans when announced tasks may start by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tasklane.errors import Unavailable
from tasklane.line import limit_line
from tasklane.message import TaskMessage
from tasklane.ports import Clock, ControlStore, TaskStore
from tasklane.throttle import HOLD_MS, Limit, concurrent_keys, is_valid

REMEMBER_MS: Final = 5_000
"""How long what was read of a limit is used."""
MAX_KNOWN: Final = 10_000
"""Keys that are remembered at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A task that may be claimed now.

    ``takes`` are the keys towards whose limits it will count. Its handler starts ``at`` that time, or at once.
    """

    message: TaskMessage
    takes: tuple[str, ...] = ()
    at: int | None = None


@dataclass(kw_only=True, slots=True)
class Plan:
    """What is to become of announced tasks: ``behind`` others in a line, or ``later``, in a time slot of their own."""

    starts: list[Start] = field(default_factory=list)
    behind: dict[TaskMessage, str] = field(default_factory=dict)
    later: dict[TaskMessage, int] = field(default_factory=dict)
    unhandled: set[TaskMessage] = field(default_factory=set)


class Limiter:
    """One per process; what it knows of a limit is at most ``REMEMBER_MS`` old, the counts themselves are exact."""

    def __init__(self, *, control: ControlStore, store: TaskStore, clock: Clock) -> None:
        self._control = control
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[int, Limit | None]] = {}

    def plan(self, messages: Sequence[TaskMessage]) -> Plan:
        """What the limits say to these tasks. Without keys they cost nothing here."""
        plan = Plan(starts=[Start(message=message) for message in messages if not message.keys])
        throttled = [message for message in messages if message.keys]
        if not throttled:
            return plan
        try:
            limits = self._limits_of(throttled)
            self._judge(
                {message: [limits[key] for key in message.keys if key in limits] for message in throttled}, plan
            )
        except Unavailable:
            done = {start.message for start in plan.starts} | plan.behind.keys() | plan.later.keys()
            plan.unhandled |= {message for message in throttled if message not in done}
        return plan

    def _judge(self, limits: Mapping[TaskMessage, Sequence[Limit]], plan: Plan) -> None:
        now = self._clock.now()
        standing: dict[str, bool] = {}
        to_reserve: list[TaskMessage] = []
        for message, some in limits.items():
            line = None if message.woken else self._line_before(concurrent_keys(some), standing)
            if line is not None:
                plan.behind[message] = line
            elif is_valid(message.reserved_at, message.reserved_on, some, now):
                at = message.reserved_at if message.reserved_at is not None and message.reserved_at > now else None
                plan.starts.append(Start(message=message, takes=concurrent_keys(some), at=at))
            else:
                to_reserve.append(message)
        slots = self._reserve({message: limits[message] for message in to_reserve}, now)
        for message, at in slots.items():
            if at - now > HOLD_MS:
                plan.later[message] = at
            else:
                takes = concurrent_keys(limits[message])
                plan.starts.append(Start(message=message, takes=takes, at=at if at > now else None))

    def _line_before(self, keys: Sequence[str], standing: dict[str, bool]) -> str | None:
        """The line in which somebody waits for one of these keys already: first come, first served."""
        for key in keys:
            if key not in standing:
                standing[key] = bool(self._store.in_line(limit_line(key), 1))
            if standing[key]:
                return limit_line(key)
        return None

    def _reserve(self, limits: Mapping[TaskMessage, Sequence[Limit]], now: int) -> dict[TaskMessage, int]:
        """A time slot for each: of several rates that hold for a task, the latest. One request for each key."""
        at: dict[TaskMessage, int] = dict.fromkeys(limits, now)
        rated = {limit.key: limit for some in limits.values() for limit in some if limit.rate is not None}
        for key, limit in rated.items():
            wanting = [message for message, some in limits.items() if any(one.key == key for one in some)]
            for message, slot in zip(wanting, self._control.reserve(limit, now, len(wanting)), strict=True):
                at[message] = max(at[message], slot)
        return at

    def _limits_of(self, messages: Sequence[TaskMessage]) -> dict[str, Limit]:
        now = self._clock.now()
        keys = sorted({key for message in messages for key in message.keys})
        old = [key for key in keys if not 0 <= now - self._known.get(key, (-REMEMBER_MS, None))[0] < REMEMBER_MS]
        if old:
            found = self._control.limits(old)
            kept = (
                self._known
                if len(self._known) <= MAX_KNOWN
                else {key: self._known[key] for key in keys if key not in old}
            )
            self._known = kept | {key: (now, found[key].limit if key in found else None) for key in old}
        known = {key: self._known[key][1] for key in keys}
        return {key: limit for key, limit in known.items() if limit is not None}
