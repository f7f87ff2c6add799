"""Pauses, limits and dead letters under test: they refuse and lose answers like the other ports."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tasklane.adapters.memory import MemoryQueues
from tasklane.errors import Unavailable
from tasklane.ports import ControlStore, Delivery, Pause
from tasklane.throttle import Limit, LimitState
from tasklane.timetable import Changed, Full, Granted, SlotRequest
from tests.faults.stateful_held import Held
from tests.faults.stateful_lines import KEYS, Who
from tests.faults.stateful_ports import Faults
from tests.faults.stateful_restraints import Restraints

_R = TypeVar("_R")


class FaultyControl:
    """What one process sees of the control store; the model sees every decision.

    A process that is held waits before each, but not before what goes by the clock that it has just looked at.
    """

    def __init__(
        self, control: ControlStore, faults: Faults, restraints: Restraints, who: Who, held: Held | None
    ) -> None:
        self._control = control
        self._faults = faults
        self._restraints = restraints
        self._who = who
        self._held = held

    def pauses(self) -> list[Pause]:
        return self._read("pauses", (), self._control.pauses)

    def put_pause(self, pause: Pause) -> Pause:
        def act() -> Pause:
            there = self._control.put_pause(pause)
            self._restraints.decided.is_paused(pause.target, paused=True)
            return there

        return self._decide("pauses", (), act)

    def end_pause(self, target: str, now: int) -> Pause | None:
        def act() -> Pause | None:
            there = self._control.end_pause(target, now)
            self._restraints.decided.is_paused(target, paused=False)
            return there

        return self._decide("pauses", (), act)

    def forget_pause(self, pause: Pause) -> bool:
        return self._decide("pauses", (), lambda: self._control.forget_pause(pause))

    def put_limit(self, limit: Limit, *, before: Limit | None) -> bool:
        def act() -> bool:
            kept = self._control.put_limit(limit, before=before)
            if kept:
                self._restraints.is_limited(limit.key, limit)
            return kept

        return self._decide("limits", [limit.key], act)

    def remove_limit(self, key: str) -> None:
        def act() -> None:
            self._control.remove_limit(key)
            self._restraints.is_limited(key, None)

        self._decide("limits", [key], act)

    def limits(self, keys: Sequence[str]) -> dict[str, LimitState]:
        return self._read("limits", keys, lambda: self._control.limits(keys))

    def limit_keys(self, start: str | None, count: int) -> list[str]:
        return self._read("limits", KEYS, lambda: self._control.limit_keys(start, count))

    def reserve(self, limit: Limit, now: int, count: int) -> list[int] | None:
        self._restraints.reserves(limit.key, count, now)
        return self._ask("slots", [limit.key], lambda: self._control.reserve(limit, now, count))

    def reserve_together(
        self, limits: Mapping[str, Limit], requests: Sequence[SlotRequest]
    ) -> list[Granted | Full | Changed]:
        for key in limits:
            asking = [one for one in requests if key in one.keys and key not in one.held_by]
            if asking:
                self._restraints.reserves(key, len(asking), min(one.at for one in asking))
        return self._ask("slots", list(limits), lambda: self._control.reserve_together(limits, requests))

    def give_up(self, key: str, count: int) -> None:
        self._ask("slots", [key], lambda: self._control.give_up(key, count))

    def close_gaps(self, limit: Limit, now: int) -> Limit | None:
        def act() -> Limit | None:
            closed = self._control.close_gaps(limit, now)
            if closed is not None:
                self._restraints.has_no_gaps(limit.key, closed)
            return closed

        return self._decide("slots", [limit.key], act)

    def note_waiting(self, key: str, until: int) -> None:
        self._ask("notes", [key], lambda: self._control.note_waiting(key, until))

    def waited_for(self) -> dict[str, int]:
        return self._ask("notes", (), self._control.waited_for)

    def forget_waiting(self, key: str, until: int) -> None:
        self._decide("notes", [key], lambda: self._control.forget_waiting(key, until))

    def _decide(self, port: str, keys: Sequence[str], act: Callable[[], _R]) -> _R:
        if self._held is not None:
            self._held.pause()
        return self._ask(port, keys, act)

    def _read(self, port: str, keys: Sequence[str], act: Callable[[], _R]) -> _R:
        try:
            return self._ask(port, keys, act)
        except Unavailable:
            self._restraints.misses(self._who.number)
            raise

    def _ask(self, port: str, keys: Sequence[str], act: Callable[[], _R]) -> _R:
        return self._faults.whole(port, [KEYS.index(key) for key in keys] or [0], act)


class FaultyDeadLetters:
    """The dead-letter queues under test."""

    def __init__(self, queues: MemoryQueues, faults: Faults) -> None:
        self._queues = queues
        self._faults = faults

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        return self._faults.whole("dead", [0], lambda: self._queues.receive(lane, limit, wait_seconds))

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        self._faults.whole("dead", [1], lambda: self._queues.acknowledge(lane, handles))

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        return self._faults.whole("dead", [2], lambda: self._queues.extend(lane, handles))

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        self._faults.whole("dead", [2], lambda: self._queues.release(lane, handles, delay_seconds))
