"""Knows the limits, and plans when announced tasks may start by them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tasklane.errors import Contended, Unavailable
from tasklane.line import limit_line
from tasklane.message import TaskMessage
from tasklane.ports import Clock, ControlStore, TaskStore
from tasklane.slots import Reserved, reserve_slots, slots_of
from tasklane.task import Task
from tasklane.throttle import HOLD_MS, Limit, TimeSlot, concurrent_keys, has_rate, is_valid, lead_ms, rated_keys

REMEMBER_MS: Final = 5_000
"""How long what was read of a limit is used."""
MAX_KNOWN: Final = 10_000
"""Keys that are remembered at most."""
ROUNDS: Final = 3
"""How often tasks are judged anew because a rate was changed meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A task that may be claimed now.

    ``takes`` are the keys towards whose limits it will count. Its handler starts ``at`` that time (which may just have
    passed); None: at once.
    """

    message: TaskMessage
    takes: tuple[str, ...] = ()
    at: int | None = None


@dataclass(kw_only=True, slots=True)
class Plan:
    """What is to become of announced tasks: ``behind`` others in a line, or ``later``, in a time slot of their own."""

    starts: list[Start] = field(default_factory=list)
    behind: dict[TaskMessage, str] = field(default_factory=dict)
    later: dict[TaskMessage, TimeSlot] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    """Records, as they were before their time slots were reserved."""
    unhandled: set[TaskMessage] = field(default_factory=set)
    contended: set[TaskMessage] = field(default_factory=set)
    """Those of them that others kept from their time slots, by being faster again and again."""


class Limiter:
    """One per process; what it knows of a limit is at most ``REMEMBER_MS`` old, the counts themselves are exact."""

    def __init__(self, *, control: ControlStore, store: TaskStore, clock: Clock) -> None:
        self._control = control
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[int, Limit | None]] = {}
        self._claim_ms = 0

    def plan(self, messages: Sequence[TaskMessage]) -> Plan:
        """What the limits say to these tasks. Without keys they cost nothing here."""
        plan = Plan(starts=[Start(message=message) for message in messages if not message.keys])
        left = [message for message in messages if message.keys]
        try:
            for _ in range(ROUNDS):
                left = self._judge(left, plan) if left else []
        except Unavailable as exc:
            done = {start.message for start in plan.starts} | plan.behind.keys() | plan.later.keys()
            left = [message for message in left if message not in done]
            plan.contended |= set(left) if isinstance(exc, Contended) else set()
        plan.unhandled |= set(left)
        return plan

    def claimed(self, took_ms: int) -> None:
        """A claim took so long (milliseconds): those who get time slots from now on have time for such a one."""
        self._claim_ms = max(took_ms, self._claim_ms * 3 // 4)

    def begin_at(self, starts: Sequence[Start], tasks: Mapping[str, Task]) -> dict[str, int]:
        """When those of ``tasks`` begin that have time slots, by id. They have just been claimed.

        Whose slot has passed meanwhile gets another one: they would start together, or at the times of others. So do
        those who would be late, too, once that is done. Where no slot is near, all begin later by as much, and so keep
        their distance.
        """
        mine = {start.message.task_id: start.message for start in starts if start.message.task_id in tasks}
        times = {one.message.task_id: one.at for one in starts if one.at is not None and one.message.task_id in mine}
        for _ in range(ROUNDS):
            now = self._clock.now()
            late = [one for one, at in times.items() if self._is_late(mine[one], at, now)]
            if not late:
                break
            soon = [one for one, at in times.items() if one in late or at < now + self._claim_ms]
            # Whose limits have just ended, which another thread may have heard, has all the time there is.
            wanting = {one: some for one in soon if has_rate(some := self._limits_known(mine[one]))}
            slots = self._slots_anew(wanting, {one: times[one] for one in wanting}, now)
            if not slots:
                by = now - min(times[one] for one in late)
                return {one: at + by for one, at in times.items()}
            times |= slots
        return times

    def _slots_anew(self, wanting: Mapping[str, Sequence[Limit]], times: Mapping[str, int], now: int) -> dict[str, int]:
        """Other time slots for all of these; none where one is not near, or where a slot would be idle meanwhile.

        Those by whose rates a start may be as late as that keep what they have of them.
        """
        if any(concurrent_keys(some) for some in wanting.values()):
            return {}
        later = now + self._claim_ms
        had = {one: TimeSlot(at, "", later) for one, at in times.items()}
        try:
            reserved = reserve_slots(
                self._control, wanting, had, later, lambda some: lead_ms(some, self._claim_ms) - self._claim_ms
            )
        except Unavailable:
            return {}
        slots = reserved.slots.values()
        near = len(slots) == len(wanting) and all(slot.at <= now + HOLD_MS for slot in slots)
        return {one: slot.at for one, slot in reserved.slots.items()} if near else {}

    def _limits_known(self, message: TaskMessage) -> list[Limit]:
        limits = [self._known[key][1] for key in message.keys if key in self._known]
        return [limit for limit in limits if limit is not None]

    def _is_late(self, message: TaskMessage, at: int, now: int) -> bool:
        rates = [limit.rate for limit in self._limits_known(message) if limit.rate is not None]
        return bool(rates) and now - at > min(rate.tolerance_ms for rate in rates)

    def _judge(self, messages: Sequence[TaskMessage], plan: Plan) -> list[TaskMessage]:
        """Plan these; those whose limits have turned out to be others by now."""
        now = self._clock.now()
        known = self._limits_of(messages)
        limits = {message: [known[key] for key in message.keys if key in known] for message in messages}
        standing: dict[str, bool] = {}
        to_reserve: list[TaskMessage] = []
        for message, some in limits.items():
            line = None if message.woken else self._line_before(concurrent_keys(some), standing)
            if line is not None:
                plan.behind[message] = line
            elif is_valid(message.reserved_at, message.reserved_on, some, now):
                plan.starts.append(_start(message, some, message.reserved_at))
            else:
                to_reserve.append(message)
        wanting = self._without_doubled(to_reserve, limits, plan, now) if to_reserve else []
        wanting = self._with_a_slot(sorted(wanting, key=lambda one: _came(plan.tasks[one.task_id])), limits, plan)
        wanting = self._first_in_line(wanting, limits, standing, plan)
        now = self._clock.now()  # on a busy machine the reads take longer than a time slot is off
        reserved = self._reserve({message: limits[message] for message in wanting}, plan.tasks, now)
        for message in wanting:
            slot = reserved.slots.get(message.task_id)
            if message.task_id in reserved.full:
                plan.behind[message] = limit_line(reserved.full[message.task_id])
            elif slot is not None and slot.at - now > HOLD_MS:
                plan.later[message] = slot
            elif slot is not None:
                plan.starts.append(_start(message, limits[message], slot.at))
        return [message for message in wanting if message.task_id not in {*reserved.slots, *reserved.full}]

    def _first_in_line(
        self,
        messages: Sequence[TaskMessage],
        limits: Mapping[TaskMessage, Sequence[Limit]],
        standing: dict[str, bool],
        plan: Plan,
    ) -> list[TaskMessage]:
        """Those who may ask for a time slot now, by several rates not before those who wait for room in a timetable.

        Who has missed the slot that he had came before these.
        """
        kept = []
        for message in messages:
            keys = rated_keys(limits[message])
            waits = len(keys) > 1 and not message.woken and message.reserved_at is None
            line = self._line_before(keys, standing) if waits else None
            if line is None:
                kept.append(message)
            else:
                plan.behind[message] = line
        return kept

    def _without_doubled(
        self, messages: Sequence[TaskMessage], limits: Mapping[TaskMessage, Sequence[Limit]], plan: Plan, now: int
    ) -> list[TaskMessage]:
        """Those that need a time slot. Doubled messages must not use up a slot each: the rate would be theirs."""
        tasks = self._store.get([message.task_id for message in messages])
        plan.tasks |= tasks
        wanting = []
        for message in messages:
            task = tasks.get(message.task_id)
            if task is None or not message.announces(task):
                plan.starts.append(Start(message=message))  # its claim is refused, and counted so
            elif not is_valid(task.reserved_at, task.reserved_on, limits[message], now):
                wanting.append(message)
            elif task.run_at is None or task.run_at - now <= HOLD_MS:
                plan.starts.append(_start(message, limits[message], task.reserved_at))
        return wanting

    def _with_a_slot(
        self, messages: Sequence[TaskMessage], limits: Mapping[TaskMessage, Sequence[Limit]], plan: Plan
    ) -> list[TaskMessage]:
        """Those for which there is a slot, too, by the limits that say how many run at once; the others join a line.

        A time slot that finds no such slot is lost: the rate would be that of those who only wait.
        """
        holding = {message: concurrent_keys(limits[message]) for message in messages if has_rate(limits[message])}
        keys = sorted({key for some in holding.values() for key in some})
        states = self._control.limits(keys) if keys else {}
        room = {key: state.room for key, state in states.items() if state.room is not None}
        kept = []
        for message in messages:
            mine = [key for key in holding.get(message, ()) if key in room]
            if full := [key for key in mine if room[key] <= 0]:
                plan.behind[message] = limit_line(full[0])
                continue
            room |= {key: room[key] - 1 for key in mine}
            kept.append(message)
        return kept

    def _line_before(self, keys: Sequence[str], standing: dict[str, bool]) -> str | None:
        """The line in which somebody waits for one of these keys already: first come, first served."""
        for key in keys:
            if key not in standing:
                standing[key] = bool(self._store.in_line(limit_line(key), 1))
            if standing[key]:
                return limit_line(key)
        return None

    def _reserve(self, limits: Mapping[TaskMessage, Sequence[Limit]], tasks: Mapping[str, Task], now: int) -> Reserved:
        """A time slot for each, in the order in which their tasks came.

        Those with a limit that is another by now are left out, and the limit is read anew the next time.
        """
        wanting = sorted(limits, key=lambda message: _came(tasks[message.task_id]))
        reserved = reserve_slots(
            self._control,
            {message.task_id: limits[message] for message in wanting},
            slots_of(tasks[message.task_id] for message in wanting),
            now,
            lambda some: lead_ms(some, self._claim_ms),
        )
        self._known = {key: known for key, known in self._known.items() if key not in reserved.changed}
        return reserved

    def _limits_of(self, messages: Sequence[TaskMessage]) -> dict[str, Limit]:
        now = self._clock.now()
        keys = {key for message in messages for key in message.keys}
        there = self._known
        known = {key: there[key] for key in keys if key in there and 0 <= now - there[key][0] < REMEMBER_MS}
        read = self._read(keys - known.keys(), now)
        if any(limit is not None and limit.since > now for _, limit in (known | read).values()):
            # A slot by so new a rate says that it was reserved later than now. It would look as if it were by the rates
            # of its other keys, too, where these were set just before and are not known yet.
            read |= self._read({key for key, (read_at, _) in known.items() if read_at < now}, now)
        if read:
            # Others may do the same in their threads: what one of them forgets is read again.
            self._known = (self._known if len(self._known) <= MAX_KNOWN else known) | read
        return {key: limit for key, (_, limit) in (known | read).items() if limit is not None}

    def _read(self, keys: Collection[str], now: int) -> dict[str, tuple[int, Limit | None]]:
        found = self._control.limits(sorted(keys)) if keys else {}
        return {key: (now, found[key].limit if key in found else None) for key in keys}


def _came(task: Task) -> tuple[int, str]:
    return task.created_at, task.id


def _start(message: TaskMessage, limits: Sequence[Limit], at: int | None) -> Start:
    return Start(message=message, takes=concurrent_keys(limits), at=at)
