"""When a task is looked at again, and how long a run and a record last: pure functions of the record and the time."""

from dataclasses import dataclass
from typing import Final

from tasklane.line import is_pull
from tasklane.message import MAX_DELAY_SECONDS
from tasklane.task import Task

LEASE_SECONDS: Final = 60
"""How long a lease lasts at most before its worker must renew it."""
LEASE_MARGIN_MS: Final = 15_000
"""How much longer a lease lasts than the run may go unrenewed: for slow writes and for clocks that differ."""
WAITED_FOR_MS: Final = 5_000
"""How long after its lease a run is looked at that holds a slot: others wait for it, which is worth the index entry."""
PROMOTE_AHEAD_MS: Final = (MAX_DELAY_SECONDS - 60) * 1000
"""How long before its time the sweeper hands a far-off task to its lane: what a queue can delay, less one sweep."""
CARRIED_MS: Final = 12 * MAX_DELAY_SECONDS * 1000
"""How far off a time slot may be for queues to carry its task all the way: a worker that receives it too early sends it
on. Of a tenth of three requests each quarter of an hour, twelve cost what the sweeper's one write does."""
MAX_DELAY_MS: Final = 366 * 86_400_000
"""How far off a task may be scheduled: a year."""
MAX_DOUBLINGS: Final = 10
KEPT_AFTER_CALLBACK_SECONDS: Final = 86_400
"""How long a task is kept after its callback's next try, or its end, however short the retention is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The installation's times.

    ``recovery_ms``: how long a task may wait or run unseen before the sweeper looks at it; longer than a usual lease,
    so that a claim need not move its index entry. ``retention_seconds``: how long a final task is kept.
    """

    recovery_ms: int = 180_000
    retention_seconds: int = 30 * 86_400


def next_look(task: Task, now: int, timing: Timing) -> int | None:
    """When the sweeper must look at a waiting task if nothing happens before.

    Each time it was sent again the pause doubles, so that a long backlog is not sent over and over. What waits for an
    external worker has no message that could be lost: it is looked at when it expires, or never (None).
    """
    if is_pull(task.line):
        return None if task.start_by is None else max(now, task.start_by) + 1000
    return _look(task, now, timing)


def _look(task: Task, now: int, timing: Timing) -> int:
    start = max(now, task.run_at or now)
    look = start + (timing.recovery_ms << min(task.sends, MAX_DOUBLINGS))
    if not fits_a_queue(task, now):
        look = start - PROMOTE_AHEAD_MS
    return look if task.start_by is None else min(look, max(now, task.start_by) + 1000)


def fits_a_queue(task: Task, now: int) -> bool:
    """True where queues carry the task to its time: in one go or, to a time slot, in several."""
    furthest = MAX_DELAY_SECONDS * 1000 if task.reserved_at is None else CARRIED_MS
    return task.run_at is None or task.run_at - now <= furthest


def next_callback_look(task: Task, now: int, timing: Timing) -> int:
    """When the sweeper must look at a task whose callback is pending; as ``next_look``, for the callback's next try."""
    next_at = task.callback.next_at if task.callback else None
    return _look(task.evolve(run_at=next_at, expires_at=None), now, timing)


def kept(task: Task, moment: int) -> Task:
    """A final task that is kept for a day after ``moment`` at least.

    A callback is tried for days: with a short retention the table would remove the task before it was told of.
    """
    return task.evolve(delete_at=max(task.delete_at or 0, moment // 1000 + KEPT_AFTER_CALLBACK_SECONDS))


def lease_until(timeout_seconds: int, now: int) -> int:
    """When a run begun, or renewed, ``now`` is taken to be lost; ``timeout_seconds`` is what it still has."""
    return now + min(timeout_seconds, LEASE_SECONDS) * 1000 + LEASE_MARGIN_MS


def moved_due(due_at: int, lease_end: int, timing: Timing) -> int | None:
    """A running task's new ``due_at``; None where the old one is neither before the lease's end nor long after it."""
    return None if lease_end <= due_at <= lease_end + timing.recovery_ms else lease_end
