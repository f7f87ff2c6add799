"""A shared step: looks after external tasks when a message says that it is time.

Such a message comes when a task's delay is over, or an external worker's lease. The task is not claimed here: it stands
in the line of its type, where external workers fetch it.
"""

import logging
import random
from collections.abc import Sequence
from typing import Final

from tasklane import transitions
from tasklane.changes import own_change, tasks_after, written
from tasklane.dispatch import send_what_follows
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.lost import after_loss
from tasklane.message import MAX_DELAY_SECONDS, TaskMessage
from tasklane.ports import CallbackQueue, Change, Clock, TaskQueue, TaskStore
from tasklane.retry import Random
from tasklane.task import Status, Task
from tasklane.task_types import TaskTypes
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

TOLERANCE_MS: Final = 1_000
"""A delay that is over within this time is over: queues round to seconds."""


class LookAfterExternal:
    """What the worker does about external tasks."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        gate: Gate,
        types: TaskTypes,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._gate = gate
        self._types = types
        self._clock = clock
        self._timing = timing
        self._random = random

    def __call__(self, messages: Sequence[TaskMessage]) -> frozenset[TaskMessage]:
        """See to the tasks that these messages are about; the messages that must come again."""
        try:
            tasks = self._store.get([message.task_id for message in messages])
            changes, early = self._judge(messages, tasks, self._clock.now())
        except Unavailable:
            return frozenset(messages)
        answers = self._store.save(list(changes.values())) if changes else []
        done = tasks_after(written(changes.values(), answers))
        send_what_follows(self._queue, self._callback_queue, done, self._clock.now())
        again = {m for m, answer in zip(changes, answers, strict=True) if isinstance(answer, Unavailable)}
        unsent = self._queue.send(list(early.values())) if early else []
        again |= {m for m, answer in zip(early, unsent, strict=True) if answer is not None}
        return frozenset(again)

    def _judge(
        self, messages: Sequence[TaskMessage], tasks: dict[str, Task], now: int
    ) -> tuple[dict[TaskMessage, Change], dict[TaskMessage, TaskMessage]]:
        """The changes that tasks need, and the messages that are to come later."""
        changes: dict[TaskMessage, Change] = {}
        early: dict[TaskMessage, TaskMessage] = {}
        for message in {message.task_id: message for message in sorted(messages, key=lambda m: m.run)}.values():
            task = tasks.get(message.task_id)
            # Another run has a message of its own; this one is doubled or late.
            if task is None or task.status.final or task.run != message.run - 1:
                continue
            step = self._at_lease_end(task, now) if task.status is Status.RUNNING else self._at_its_time(task, now)
            if isinstance(step, TaskMessage):
                early[message] = step
            elif step is not None:
                changes[message] = step
        return changes, early

    def _at_lease_end(self, task: Task, now: int) -> Change | TaskMessage | None:
        until = task.lease_until or 0
        if until > now:  # renewed meanwhile
            # One that lasts longer than a queue's delay is the sweeper's.
            return TaskMessage.at_lease_end(task) if until - now <= MAX_DELAY_SECONDS * 1000 else None
        after = after_loss(task, self._types.policy_of(task), now, self._timing, self._random)
        return own_change(task, after, "lease_until", "cancel_requested")

    def _at_its_time(self, task: Task, now: int) -> Change | TaskMessage | None:
        if task.line is not None:
            return None
        if task.start_by is not None and task.start_by <= now:
            return own_change(task, transitions.expired(task, now, self._timing))
        if (task.run_at or 0) > now + TOLERANCE_MS:
            return TaskMessage.of(task)
        line = self._gate.line_for(task.type, task.priority)
        if line is None:
            return own_change(task, transitions.let_go(task, now, self._timing))
        return own_change(task, transitions.held(task, line, now, self._timing))
