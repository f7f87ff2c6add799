"""Use case: forget tasks before their retention ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tasklane.errors import Unavailable
from tasklane.ports import Clock, TaskStore
from tasklane.task import CallbackState, Status, Task

TRIES: Final = 5
"""How often a removal is decided anew because somebody else changed the task in between."""


class Reason(StrEnum):
    """Why a task is left alone."""

    RUNNING = "running"
    """A worker is at it; cancel it first."""
    CALLBACK = "callback"
    """It has ended, and its callback is on its way or between two tries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """What became of the tasks: those removed now, those that were not there, and those left alone, with the reason."""

    removed: tuple[str, ...]
    gone: tuple[str, ...]
    left: tuple[tuple[Task, Reason], ...]


class RemoveTasks:
    """Removes tasks with everything that is kept for them."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, task_ids: Sequence[str]) -> Removed:
        """Remove these tasks. Safe to repeat. Raises Unavailable; some of them may be removed then.

        A task that waits never starts: a message that comes late finds nothing to claim. Its documents go with the
        record (``cleanup``), and its idempotency key is free again.
        """
        undecided, removed, gone = list(dict.fromkeys(task_ids)), list[str](), list[str]()
        for _ in range(TRIES):
            tasks = self._store.get(undecided)
            now = self._clock.now()
            gone += [one for one in undecided if one not in tasks or tasks[one].is_gone(now)]
            there = [task for task in tasks.values() if not task.is_gone(now)]
            left = [(task, reason) for task in there if (reason := why_not(task))]
            free = [task for task in there if why_not(task) is None]
            answers = self._store.remove(free) if free else []
            removed += [task.id for task, answer in zip(free, answers, strict=True) if answer is True]
            for answer in answers:
                if isinstance(answer, Unavailable):
                    raise answer
            # The others are looked at once more, those left alone included: they may have ended meanwhile.
            if len(removed) + len(gone) + len(left) == len(set(task_ids)):
                return Removed(removed=tuple(removed), gone=tuple(gone), left=tuple(left))
            undecided = [one for one in undecided if one not in (*removed, *gone)]
        raise Unavailable("tasks are being changed by others")


def why_not(task: Task) -> Reason | None:
    """Why the task cannot be removed: somebody is at it. None: it can."""
    if task.status is Status.RUNNING:
        return Reason.RUNNING
    if task.callback is not None and task.callback.state is CallbackState.PENDING:
        return Reason.CALLBACK
    return None
