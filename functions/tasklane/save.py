"""Writing what has happened, with patience: an outcome is worth more than a new claim."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from tasklane.errors import Unavailable
from tasklane.ports import Change, TaskStore
from tasklane.task import Task

logger = logging.getLogger(__name__)

PAUSES: Final = (0.2, 1.0, 3.0, 8.0)
"""Seconds between tries to do what was refused."""
LAST_TRY_SECONDS: Final = 2.0
"""With less time than this left no other try is begun."""

_T = TypeVar("_T")


def pauses_while(remaining: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait before each further try, for as long as ``remaining`` says that there is time for one."""
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        left = remaining() - LAST_TRY_SECONDS
        if left <= 0:
            return
        yield min(pause, left)


def patiently(
    call: Callable[[], _T], pauses: Iterable[float] | None = None, sleep: Callable[[float], None] = time.sleep
) -> _T:
    """What ``call`` gives, trying again where it raises Unavailable; the last time it is let through."""
    for pause in PAUSES if pauses is None else pauses:
        try:
            return call()
        except Unavailable:
            sleep(pause)
    return call()


def save_patiently(
    store: TaskStore, changes: Sequence[Change], sleep: Callable[[float], None] = time.sleep
) -> list[Task]:
    """Write ``changes``, trying again where the store is unavailable; the tasks as written.

    What somebody else had changed first is dropped. What cannot be written is left to the sweeper.
    """
    written: list[Task] = []
    left = list(changes)
    for pause in (*PAUSES, None):
        answers = list(zip(left, store.save(left), strict=True)) if left else []
        written += [change.after for change, answer in answers if answer is True]
        for change in (change for change, answer in answers if answer is False):
            log_run_lost(change.before)
        left = [change for change, answer in answers if isinstance(answer, Unavailable)]
        if not left:
            break
        if pause is None:
            log_given_up(left)
        else:
            sleep(pause)
    return written


def log_run_lost(task: Task) -> None:
    """Say that somebody else changed the task of a run first."""
    logger.warning("The run had been lost.", extra={"action": "run_lost", "task_id": task.id})


def log_given_up(changes: Sequence[Change]) -> None:
    """Say that these outcomes will not be written by this process."""
    ids = [change.before.id for change in changes]
    logger.error("Outcomes could not be written.", extra={"action": "save_failed", "task_ids": ids})
