"""What a dead letter asks for: its task's record decides, here; ``tasklane.redrive`` does it."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from tasklane import transitions
from tasklane.changes import own_change
from tasklane.dispatch import belongs_in_a_lane, callback_is_near
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import CallbackQueue, Change, TaskQueue
from tasklane.task import CallbackState, Status, Task
from tasklane.timing import Timing

UNKNOWN: Final = "unknown"
"""What a dead letter is about that is about nothing any more."""

_Message = TypeVar("_Message", TaskMessage, CallbackMessage)


class Kind(Protocol[_Message]):
    """What the dead letters of a lane, or those of the callback queue, are about."""

    def read(self, body: str) -> _Message:
        """The message in ``body``. Raises InvalidMessage."""

    def decide(self, message: _Message, task: Task, now: int) -> Change | str:
        """What ``task`` needs before it is sent again; or, where it need not be sent, why."""

    def send(self, tasks: Sequence[Task]) -> list[Unavailable | None]:
        """Send what was changed."""


class DeadTasks:
    """Dead letters of a lane."""

    def __init__(self, queue: TaskQueue, timing: Timing, *, reopen: bool) -> None:
        self._queue = queue
        self._timing = timing
        self._reopen = reopen

    def read(self, body: str) -> TaskMessage:
        """See Kind."""
        return TaskMessage.from_json(body)

    def decide(self, message: TaskMessage, task: Task, now: int) -> Change | str:
        """See Kind."""
        announced = message.run == task.run and message.free_slot is None
        if task.status is Status.FAILED and self._reopen and announced and not _is_over(task, now):
            return _change(task, transitions.reopened(task, now, self._timing))
        overdue = task.start_by is not None and task.start_by <= now
        if overdue or not belongs_in_a_lane(task, now):
            return task.status.value  # what waits for a far-off time, or has expired, the sweeper looks after
        return _change(task, transitions.sent_anew(task, now, self._timing))

    def send(self, tasks: Sequence[Task]) -> list[Unavailable | None]:
        """See Kind."""
        return self._queue.send([TaskMessage.of(task) for task in tasks])


class DeadCallbacks:
    """Dead letters of the callback queue."""

    def __init__(self, queue: CallbackQueue, timing: Timing) -> None:
        self._queue = queue
        self._timing = timing

    def read(self, body: str) -> CallbackMessage:
        """See Kind."""
        return CallbackMessage.from_json(body)

    def decide(self, message: CallbackMessage, task: Task, now: int) -> Change | str:
        """See Kind."""
        callback = task.callback
        if callback is None:
            return UNKNOWN
        # A try that has begun looks after the next one itself; should it die, the sweeper does.
        announced = callback.state is CallbackState.PENDING and message.number == callback.tries + 1
        announced = announced and message.event is None  # an event is no news any more, and nothing is owed
        if not announced or not callback_is_near(task, now):
            return callback.state.value
        return _change(task, transitions.callback_sent_anew(task, now, self._timing))

    def send(self, tasks: Sequence[Task]) -> list[Unavailable | None]:
        """See Kind."""
        return self._queue.send([CallbackMessage.of(task) for task in tasks])


def _change(task: Task, after: Task) -> Change:
    return own_change(task, after, "due_at", "callback", by_hand=True)


def _is_over(task: Task, now: int) -> bool:
    """True where the task's retention has ended, though the table has not removed it yet."""
    return task.delete_at is not None and task.delete_at * 1000 <= now
