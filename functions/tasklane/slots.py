"""A shared step: gives tasks time slots, by the rates of the limits that hold for them."""

from collections.abc import Callable, Mapping, Sequence

from tasklane.ports import ControlStore
from tasklane.task import Task
from tasklane.throttle import Limit, TimeSlot, is_valid


def reserve_slots(
    control: ControlStore,
    wanting: Mapping[str, Sequence[Limit]],
    tasks: Mapping[str, Task],
    now: int,
    lead: Callable[[Sequence[Limit]], int],
) -> tuple[dict[str, TimeSlot], frozenset[str]]:
    """A time slot for each task of ``wanting`` (what holds for it, by id), in that order; and whose rate has changed.

    Of several rates that hold for a task the latest counts. One request for each key. Who comes too late by one rate
    keeps the slot that he has by another: each time to the end of the slower one's slots, he might never start. A slot
    is as far off as ``lead`` says (milliseconds). Tasks whose limit is another by now get none. Raises Unavailable.
    """
    found: dict[str, TimeSlot] = dict.fromkeys(wanting, TimeSlot(now, "", now))
    changed: set[str] = set()
    rated = {limit.key: limit for some in wanting.values() for limit in some if limit.rate is not None}
    for key, limit in rated.items():
        concerned = [one for one, some in wanting.items() if any(other.key == key for other in some)]
        slots = {
            one: TimeSlot(tasks[one].reserved_at or now, key, now)
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
                slots |= {one: TimeSlot(at, key, now) for one, at in zip(without, reserved, strict=True)}
        found |= {one: max(found[one], slot) for one, slot in slots.items() if one in found}
    return found, frozenset(changed)
