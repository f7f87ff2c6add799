"""Use case: bring waiting tasks onto their lanes, and due callbacks onto their queue.

A send that fails is logged and nothing more: the task is kept, and the sweeper sends it again when it falls due.
"""

import logging
from collections.abc import Iterable, Sequence

from tasklane.errors import Unavailable
from tasklane.line import is_rate, keeps_from_lanes
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import CallbackQueue, TaskQueue
from tasklane.task import CallbackState, Task
from tasklane.timing import fits_a_queue

logger = logging.getLogger(__name__)


def send_to_lanes(queue: TaskQueue, tasks: Iterable[Task], now: int, *, woken: bool = False) -> int:
    """Send each waiting task that a queue can carry to its time, and that nothing holds back; how many were taken.

    ``woken``: they come from the line of a limit, and those without a time slot need not ask who else stands there.
    """
    ready = [task for task in tasks if belongs_in_a_lane(task, now)]
    messages = [
        TaskMessage.woken_up(task) if woken and not is_rate(task.line) else TaskMessage.of(task) for task in ready
    ]
    return _sent(ready, queue.send(messages) if ready else [])


def send_free_slots(queue: TaskQueue, key: str, tasks: Sequence[Task], not_before: int | None = None) -> int:
    """Send word that the limit of ``key`` has a free slot, once for each of ``tasks``; how many were taken.

    They are those that wait for it: whoever receives one of these messages takes the first in line.
    """
    messages = [TaskMessage.of_free_slot(task, key, not_before) for task in tasks]
    return _sent(tasks, queue.send(messages) if messages else [])


def send_what_follows(queue: TaskQueue, callback_queue: CallbackQueue, tasks: Sequence[Task], now: int) -> int:
    """Send the messages, to lanes and to the callback queue, that follow from these records; how many were taken."""
    return send_to_lanes(queue, tasks, now) + send_callbacks(callback_queue, tasks, now)


def belongs_in_a_lane(task: Task, now: int) -> bool:
    """True where the task waits, nothing holds it back, and a queue can carry it to its time."""
    return task.status.waiting and not keeps_from_lanes(task.line) and fits_a_queue(task, now)


def send_callbacks(queue: CallbackQueue, tasks: Iterable[Task], now: int) -> int:
    """Send each task whose callback is pending and near enough; how many were taken."""
    ready = [task for task in tasks if callback_is_near(task, now)]
    return _sent(ready, queue.send([CallbackMessage.of(task) for task in ready]) if ready else [])


def callback_is_near(task: Task, now: int) -> bool:
    """True where the callback's next try is due within what a queue can delay."""
    callback = task.callback
    return (
        callback is not None
        and callback.state is CallbackState.PENDING
        and (callback.next_at is None or fits_a_queue(task.evolve(run_at=callback.next_at), now))
    )


def _sent(tasks: Sequence[Task], answers: Sequence[Unavailable | None]) -> int:
    for task, answer in zip(tasks, answers, strict=True):
        if answer is not None:
            logger.warning(
                "A message could not be sent; the sweeper will send it.",
                extra={"action": "send_failed", "task_id": task.id, "error": str(answer)},
            )
    return sum(answer is None for answer in answers)
