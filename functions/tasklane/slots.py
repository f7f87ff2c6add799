"""A shared step: gives tasks time slots, by the rates of the limits that hold for them, and notes unused ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from tasklane.errors import Unavailable
from tasklane.line import NOTED_MS, rate_key, rate_line
from tasklane.ports import Change, ControlStore
from tasklane.task import Task
from tasklane.throttle import HOLD_MS, Limit, TimeSlot, is_valid


def reserve_slots(
    control: ControlStore,
    wanting: Mapping[str, Sequence[Limit]],
    tasks: Mapping[str, Task],
    now: int,
    lead: Callable[[Sequence[Limit]], int],
) -> tuple[dict[str, TimeSlot], frozenset[str]]:
    """A time slot for each task of ``wanting`` (what holds for it, by id), in that order; and whose rate has changed.

    Of several rates that hold for a task the latest counts. One request for each key. Who comes too late by one rate
    keeps the slot that he has by another: each time to the end of the slower one's slots, he might never start. So does
    who may move up, as far as that is known: his time was the later slot's, which is void. A slot is as far off as
    ``lead`` says (milliseconds). Tasks whose limit is another by now get none. Raises Unavailable.
    """
    # Whoever set a rate may have a clock that is ahead: what is reserved by it must not look older than it.
    on = {one: max([now, *(limit.since for limit in some)]) for one, some in wanting.items()}
    found = {one: TimeSlot(now, "", on[one]) for one in wanting}
    changed: set[str] = set()
    rated = {limit.key: limit for some in wanting.values() for limit in some if limit.rate is not None}
    for key, limit in rated.items():
        concerned = [one for one, some in wanting.items() if any(other.key == key for other in some)]
        slots = {
            one: TimeSlot(_kept_at(tasks[one], key, now), key, on[one])
            for one in concerned
            if is_valid(tasks[one].reserved_at, tasks[one].reserved_on, [limit], now)
        }
        without = [one for one in concerned if one not in slots]
        if without:
            earliest = now + min(lead(wanting[one]) for one in without)
            reserved = control.reserve(limit, earliest, len(without))
            if reserved is None:
                changed.add(key)
                found = {one: slot for one, slot in found.items() if one not in without}
            else:
                slots |= {one: TimeSlot(at, key, on[one]) for one, at in zip(without, reserved, strict=True)}
        found |= {one: max(found[one], slot) for one, slot in slots.items() if one in found}
    return found, frozenset(changed)


def _kept_at(task: Task, key: str, now: int) -> int:
    """The slot that a task keeps by the rate of ``key``; only that it was no later is known where another's counted."""
    at = task.reserved_at or now
    return now if at > now + HOLD_MS and task.line != rate_line(key) else at


def give_up_slots(control: ControlStore, changes: Iterable[Change], now: int) -> None:
    """Take note of the time slots that these changes, which were written, leave unused.

    The sweeper then lets others move up. What cannot be noted stays a gap.
    """
    keys = Counter(
        key
        for change in changes
        if (key := rate_key(change.before.line or "")) is not None
        and change.after.line != change.before.line
        and (change.before.reserved_at or 0) > now
    )
    for key, count in sorted(keys.items()):
        with suppress(Unavailable):
            control.give_up(key, count)
            control.note_waiting(key, now + NOTED_MS)
