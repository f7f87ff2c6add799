"""Which of a key's time is free for starts by its rate, and when that of several keys is. Pure decisions, no I/O.

A start takes one interval of the time of each key by whose rate it goes. A start that has to wait for one key leaves
time of the others free, which those who come later may take. With one key there is no such time, and what follows is
the virtual scheduling algorithm (see ``tasklane.throttle``).
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tasklane.throttle import Rate

MAX_RANGES: Final = 5_000
"""Free ranges that a timetable keeps. Where it has as many, nobody gets a slot who would leave another one."""
NEAR_US: Final = 900_000_000
"""But for slots that are no further off than this, for which it keeps as many again: these are soon over, and whoever
has a backlog for days keeps nobody else waiting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotRequest:
    """A task asks for a time slot that the rates of all of ``keys`` allow, not before ``at`` (Unix milliseconds).

    It may have one, ``held_at``, that still holds by the rates of ``held_by``, some of ``keys``. The slot that it gets
    may be that one. ``held_first``: it has it by some instead of that earlier one.
    """

    keys: tuple[str, ...]
    at: int
    held_at: int = 0
    held_first: int | None = None
    held_by: tuple[str, ...] = ()


class Granted(NamedTuple):
    """A start may be ``at`` that time (Unix milliseconds); the rate of ``key`` is the one that makes it wait.

    ``first``: the task keeps that earlier slot by some of its keys.
    """

    at: int
    key: str
    first: int | None = None


class Full(NamedTuple):
    """No time slot: a timetable has as many free ranges as it keeps. The rate of ``key`` is the one to wait for."""

    key: str


class Changed(NamedTuple):
    """No time slot: the rate of ``key`` is another by now, or there is none."""

    key: str


class Timetable:
    """What is free of one key's time (Unix microseconds): all from ``next_at`` on, and the ``free`` ranges before that.

    What is over at the time ``now`` is not. ``given_up`` counts the time slots that tasks will not use, since they have
    got others; ``is_changed`` tells whether anything was taken or given up.
    """

    def __init__(self, rate: Rate, next_at: int = 0, free: Iterable[tuple[int, int]] = (), *, now: int = 0) -> None:
        self.rate = rate
        self._now = now
        self.next_at = max(next_at, now)
        self.free = self._usable((max(begin, now), end) for begin, end in free)
        self.given_up = 0
        self.is_changed = False

    def first(self, at: int) -> int:
        """The first moment, not before ``at``, for a start. A burst starts before the time that it takes."""
        start = max(self._range(at)[0], at)
        return max(at, start - (self.rate.burst - 1) * self.rate.interval_us)

    def take(self, at: int) -> None:
        """Take the time of a start ``at`` such a moment."""
        position, left = self._position(at), self._left(at)
        if position == len(self.free):
            self.next_at = max(self.next_at, at) + self.rate.interval_us
        self.free[position : position + 1] = left
        self.is_changed = True

    def give_up(self) -> None:
        """Count a time slot that will not be used."""
        self.given_up += 1
        self.is_changed = True

    def is_full_for(self, at: int) -> bool:
        """True where a start ``at`` such a moment would leave more free ranges than are kept."""
        taken_from = self._position(at) < len(self.free)
        most = MAX_RANGES if at > self._now + NEAR_US else 2 * MAX_RANGES
        return len(self.free) >= most and len(self._left(at)) > taken_from

    def _left(self, at: int) -> list[tuple[int, int]]:
        """What a start leaves of the free range whose time it takes."""
        begin, end = self._range(at)
        start = max(begin, at)
        return self._usable([(begin, start), (start + self.rate.interval_us, end)])

    def _range(self, at: int) -> tuple[int, int]:
        """The first free range with time for a start that comes ``at`` that moment; the last one has no end: 0."""
        position = self._position(at)
        return self.free[position] if position < len(self.free) else (self.next_at, 0)

    def _position(self, at: int) -> int:
        return bisect_left(self.free, at + self.rate.interval_us, key=_end)

    def _usable(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of these that have time for a start."""
        return [(begin, end) for begin, end in ranges if end - begin >= self.rate.interval_us]


def first(tables: Sequence[Timetable], at: int) -> int:
    """The first moment, not before ``at``, at which a start may be by all of these."""
    while (later := max((table.first(at) for table in tables), default=at)) > at:
        at = later
    return at


def reserve(tables: Mapping[str, Timetable], requests: Sequence[SlotRequest]) -> list[Granted | Full | Changed]:
    """A time slot for each of these, in their order, taken from the timetables that there are."""
    answers: list[Granted | Full | Changed] = []
    for request in requests:
        changed = next((Changed(key) for key in request.keys if key not in tables), None)
        answers.append(changed or _reserve(tables, request))
    return answers


def _reserve(tables: Mapping[str, Timetable], request: SlotRequest) -> Granted | Full:
    """A time slot by all keys, or one that leaves a task the one it has by some of them: whichever is earlier."""
    at, kept = first([tables[key] for key in request.keys], request.at * 1000), _kept(tables, request)
    keeps = kept is not None and kept <= at
    asked = _missing(request) if keeps else request.keys
    at = kept if kept is not None and keeps else at
    waits_for = _longest(tables, request, at)
    if len(request.keys) > 1 and any(tables[key].is_full_for(at) for key in asked):
        return Full(waits_for)
    for key in asked:
        tables[key].take(at)
    if keeps:
        return Granted(at // 1000, waits_for, _held(request) if _held(request) < at // 1000 else None)
    if request.held_at > request.at:
        for key in request.held_by:
            tables[key].give_up()
    return Granted(at // 1000, waits_for)


def _kept(tables: Mapping[str, Timetable], request: SlotRequest) -> int | None:
    """When a task may start with the slot that it has by some keys, and another one by the others.

    None: it has none, or that is later than a start by its slot may be. Who misses the slots of a fast rate must not be
    put behind all others of a slow one each time: he might never start.
    """
    if not request.held_by:
        return None
    at = first([tables[key] for key in _missing(request)], max(request.at, request.held_at) * 1000)
    latest = _held(request) + min(tables[key].rate.tolerance_ms for key in request.held_by)
    return at if at <= latest * 1000 else None


def _held(request: SlotRequest) -> int:
    return request.held_at if request.held_first is None else request.held_first


def _longest(tables: Mapping[str, Timetable], request: SlotRequest, at: int) -> str:
    """The key that a task with a slot ``at`` that time waits for: by itself, each other one would come sooner."""
    if request.held_by and at == request.held_at * 1000:
        return request.held_by[0]
    return max(request.keys, key=lambda key: tables[key].first(request.at * 1000))


def _missing(request: SlotRequest) -> tuple[str, ...]:
    return tuple(key for key in request.keys if key not in request.held_by)


def _end(one: tuple[int, int]) -> int:
    return one[1]
