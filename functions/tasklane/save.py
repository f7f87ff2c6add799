"""Writing what has happened, with patience: an outcome is worth more than a new claim."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from tasklane.errors import Unavailable
from tasklane.ports import Change, TaskStore
from tasklane.task import Task

logger = logging.getLogger(__name__)

PAUSES: Final = (0.2, 1.0, 3.0, 8.0)
"""Seconds between tries to do what was refused."""

_T = TypeVar("_T")


def patiently(call: Callable[[], _T], sleep: Callable[[float], None] = time.sleep) -> _T:
    """What ``call`` gives, trying again where it raises Unavailable; the last time it is let through."""
    for pause in PAUSES:
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
            logger.warning("The run had been lost.", extra={"action": "run_lost", "task_id": change.before.id})
        left = [change for change, answer in answers if isinstance(answer, Unavailable)]
        if not left:
            break
        if pause is None:
            ids = [change.before.id for change in left]
            logger.error("Outcomes could not be written.", extra={"action": "save_failed", "task_ids": ids})
        else:
            sleep(pause)
    return written
