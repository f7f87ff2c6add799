"""Use case: what people do to tasks that exist: read them, call them off, put them off, let them begin again."""

from collections.abc import Callable
from typing import Final

from tasklane import document, transitions
from tasklane.changes import own_change
from tasklane.dispatch import send_what_follows
from tasklane.errors import InvalidRequest, NotNow, TaskNotFound, Unavailable
from tasklane.line import is_rate
from tasklane.ports import BlobStore, CallbackQueue, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.slots import give_up_slots
from tasklane.task import REOPENINGS, Document, Status, Task
from tasklane.timing import MAX_DELAY_MS, Timing

TRIES: Final = 5
"""How often a change is decided anew because somebody else changed the task in between."""


class ReadTasks:
    """Reads tasks and their documents."""

    def __init__(self, *, store: TaskStore, blobs: BlobStore, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def __call__(self, task_id: str) -> Task:
        """The task. Raises TaskNotFound and Unavailable.

        A task whose retention has ended is not found either: the table removes it up to two days late.
        """
        task = self._store.get([task_id]).get(task_id)
        if task is None or task.is_gone(self._clock.now()):
            raise TaskNotFound(task_id)
        return task

    def text(self, kept: Document) -> str:
        """A document's JSON text, wherever it is kept. Raises Unavailable."""
        return document.read_text(kept, self._blobs)


class ManageTasks:
    """Changes tasks by hand.

    Each method gives the task as it is afterwards, and raises TaskNotFound, NotNow, Unavailable.
    """

    def __init__(
        self,
        *,
        read: ReadTasks,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        control: ControlStore,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._read = read
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._control = control
        self._clock = clock
        self._timing = timing

    def cancel(self, task_id: str) -> Task:
        """Call a task off: a waiting one is cancelled at once.

        A running one is cancelled when its handler hears of it: an async one within seconds, a plain one at its next
        ``progress``; should it end before, its outcome stands. A final task cannot be cancelled.
        """
        return self._change(task_id, self._cancelled)

    def retry(self, task_id: str) -> Task:
        """Let a failed, cancelled or expired task begin again at once, with its type's number of attempts."""
        return self._change(task_id, self._reopened)

    def reschedule(self, task_id: str, *, run_at: int | None = None, priority: int | None = None) -> Task:
        """Give a waiting task another start (Unix milliseconds; past means at once) or another lane; None: as it was.

        Raises InvalidRequest too, where the start is more than a year off or the task would expire before it.
        """

        def rescheduled(task: Task, now: int) -> Task:
            if not task.status.waiting:
                raise NotNow("Only a task that has not started can be rescheduled.", task.status)
            # Of one that waits for its time slot run_at is the slot; its own time has come.
            own = now if is_rate(task.line) else task.run_at or now
            start = own if run_at is None else run_at
            if start - now > MAX_DELAY_MS:
                raise InvalidRequest(
                    "The start time is too far off.", [{"pointer": "/run_at", "detail": "At most 366 days ahead."}]
                )
            if task.start_by is not None and task.start_by <= max(start, now):
                raise InvalidRequest(
                    "The task would expire before it could start.",
                    [{"pointer": "/run_at", "detail": "Must be earlier than the task's expires_at."}],
                )
            lane = task.priority if priority is None else priority
            return transitions.rescheduled(task, run_at=start, priority=lane, now=now, timing=self._timing)

        return self._change(task_id, rescheduled)

    def redeliver(self, task_id: str) -> Task:
        """Send a final task's callback again, whether it was delivered or given up; its schedule begins anew."""

        def owing(task: Task, now: int) -> Task:
            if task.callback is None:
                raise NotNow("The task has no callback_url.", task.status)
            if not task.status.final:
                raise NotNow("The task is not final, so its callback is still to come.", task.status)
            return transitions.owing_again(task, now, self._timing)

        return self._change(task_id, owing)

    def _change(self, task_id: str, decide: Callable[[Task, int], Task]) -> Task:
        for _ in range(TRIES):
            task, now = self._read(task_id), self._clock.now()
            after = decide(task, now)
            if after == task:
                return task  # called off before; there is nothing to write
            change = own_change(task, after, "callback", by_hand=True)
            (answer,) = self._store.save([change])
            if isinstance(answer, Unavailable):
                raise answer
            if answer:
                send_what_follows(self._queue, self._callback_queue, [change.after], now)
                give_up_slots(self._control, [change], now)
                return change.after
        raise Unavailable(f"task {task_id} is being changed by others")

    def _cancelled(self, task: Task, now: int) -> Task:
        if task.status.final:
            raise NotNow(f"The task is {task.status} already.", task.status)
        if task.status is Status.RUNNING:
            return task.evolve(cancel_requested=True)
        return transitions.cancelled(task, now, self._timing)

    def _reopened(self, task: Task, now: int) -> Task:
        if task.status not in REOPENINGS:
            raise NotNow("Only a failed, cancelled or expired task can be retried.", task.status)
        return transitions.reopened(task, now, self._timing)
