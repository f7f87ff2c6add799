"""A shared step: gives tasks time slots, by the rates of the limits that hold for them, and notes unused ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tasklane.errors import Unavailable
from tasklane.line import NOTED_MS, rate_key
from tasklane.ports import KEYS_TOGETHER, Change, ControlStore
from tasklane.task import Task
from tasklane.throttle import Limit, TimeSlot, is_valid
from tasklane.timetable import Changed, Full, Granted, SlotRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """Who got which time slot, by id.

    None have those for whom a timetable is ``full``: they wait for the key that is named. Nor have those for whom one
    of the ``changed`` keys holds, whose rates are others by now. By the keys of ``gaps`` somebody had a slot that stays
    empty: he got an earlier one.
    """

    slots: Mapping[str, TimeSlot]
    full: Mapping[str, str]
    changed: frozenset[str]
    gaps: frozenset[str]


def reserve_slots(
    control: ControlStore,
    wanting: Mapping[str, Sequence[Limit]],
    had: Mapping[str, TimeSlot],
    now: int,
    lead: Callable[[Sequence[Limit]], int],
) -> Reserved:
    """A time slot for each task of ``wanting`` (what holds for it, by id), in that order, by all rates among that.

    A slot is as far off as ``lead`` says (milliseconds). ``had``: slots that some have; by some of their rates they may
    still hold. One request for each key, or a few for all keys of those for whom several rates hold.

    Raises Unavailable.
    """
    # Whoever set a rate may have a clock that is ahead: what is reserved by it must not look older than it.
    on = {one: max([now, *(limit.since for limit in some)]) for one, some in wanting.items()}
    rated = {one: [limit for limit in some if limit.rate is not None] for one, some in wanting.items()}
    limits = {limit.key: limit for some in rated.values() for limit in some}
    together = {limit.key for some in rated.values() if len(some) > 1 for limit in some}
    alone: dict[str, list[str]] = {}
    requests: dict[str, SlotRequest] = {}
    for one, some in rated.items():
        request = _request(some, had.get(one), now, lead(wanting[one]))
        if together.isdisjoint(request.keys) and not request.held_by:
            alone.setdefault(some[0].key, []).append(one)
        else:
            requests[one] = request
    answers = _together(control, limits, requests)
    for key, ids in alone.items():
        times = control.reserve(limits[key], now + min(lead(wanting[one]) for one in ids), len(ids))
        answers |= {one: Granted(times[n], key) if times else Changed(key) for n, one in enumerate(ids)}
    return Reserved(
        slots={
            one: TimeSlot(slot.at, slot.key, on[one], slot.first)
            for one, slot in answers.items()
            if isinstance(slot, Granted)
        },
        full={one: answer.key for one, answer in answers.items() if isinstance(answer, Full)},
        changed=frozenset(answer.key for answer in answers.values() if isinstance(answer, Changed)),
        gaps=frozenset(key for one in requests for key in _given_up(requests[one], answers[one])),
    )


def slots_of(tasks: Iterable[Task]) -> dict[str, TimeSlot]:
    """The time slots that these have, by id."""
    return {
        task.id: TimeSlot(task.reserved_at, rate_key(task.line or "") or "", task.reserved_on, task.reserved_first)
        for task in tasks
        if task.reserved_at is not None and task.reserved_on is not None
    }


def _request(limits: Sequence[Limit], slot: TimeSlot | None, now: int, lead: int) -> SlotRequest:
    keys = tuple(limit.key for limit in limits)
    if slot is None:
        return SlotRequest(keys=keys, at=now + lead)
    times = (slot.at, slot.at if slot.first is None else slot.first)
    holds = [limit.key for limit in limits if all(is_valid(at, slot.reserved_on, [limit], now) for at in times)]
    held_by = tuple(sorted(holds, key=lambda key: key != slot.key))
    return SlotRequest(keys=keys, at=now + lead, held_at=slot.at, held_first=slot.first, held_by=held_by)


def _together(
    control: ControlStore, limits: Mapping[str, Limit], requests: Mapping[str, SlotRequest]
) -> dict[str, Granted | Full | Changed]:
    """Answers to these requests, of which as many are made at once as their keys allow."""
    answers: dict[str, Granted | Full | Changed] = {}
    ids = list(requests)
    while ids:
        keys = set[str]()
        count = 0
        while count < len(ids) and len(keys | {*requests[ids[count]].keys}) <= KEYS_TOGETHER:
            keys |= {*requests[ids[count]].keys}
            count += 1
        some, ids = ids[:count], ids[count:]
        given = control.reserve_together({key: limits[key] for key in sorted(keys)}, [requests[one] for one in some])
        answers |= zip(some, given, strict=True)
    return answers


def _given_up(request: SlotRequest, answer: Granted | Full | Changed) -> tuple[str, ...]:
    """The keys by which a task had a slot, where it got an earlier one."""
    return request.held_by if isinstance(answer, Granted) and request.at < request.held_at > answer.at else ()


def give_up_slots(control: ControlStore, changes: Iterable[Change], now: int) -> None:
    """Take note of the time slots that these changes, which were written, leave unused.

    The sweeper then lets others move up. What cannot be noted stays a gap.
    """
    keys = Counter(
        key
        for change in changes
        if rate_key(change.before.line or "") is not None
        and change.after.line != change.before.line
        and (change.before.reserved_at or 0) > now
        for key in change.before.throttle_keys
    )
    for key, count in sorted(keys.items()):
        with suppress(Unavailable):
            control.give_up(key, count)
            control.note_waiting(key, now + NOTED_MS)
