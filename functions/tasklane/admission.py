"""Decides which announced tasks may start now, and sees to those that may not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasklane import transitions
from tasklane.changes import tasks_after, written
from tasklane.dispatch import send_callbacks
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.lines import Lines
from tasklane.message import TaskMessage
from tasklane.ports import CallbackQueue, Change, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.release import Release
from tasklane.slots import give_up_slots
from tasklane.throttle import HOLD_MS
from tasklane.timing import Timing

EARLY_TOLERANCE_MS: Final = 1000
"""A message this much before its time is run: queues round to seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """What became of announced tasks.

    ``startable`` may be claimed, ``unhandled`` must be announced again. The others have been seen to.
    """

    startable: tuple[TaskMessage, ...] = ()
    unhandled: frozenset[TaskMessage] = frozenset()


class Admission:
    """Stands between a batch of messages and its claims."""

    def __init__(  # noqa: PLR0913 - what it decides on, and where that goes
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        control: ControlStore,
        gate: Gate,
        lines: Lines,
        release: Release,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._control = control
        self._gate = gate
        self._lines = lines
        self._release = release
        self._clock = clock
        self._timing = timing

    def __call__(self, messages: Sequence[TaskMessage]) -> Admitted:
        """Sort out what has expired, comes too early, is held back, or is announced twice."""
        now = self._clock.now()
        expired = [m for m in messages if m.expires_at is not None and m.expires_at <= now]
        early = [m for m in messages if m not in expired and (m.run_at or 0) > now + _tolerance(m)]
        unsent = self._send_on(early) if early else frozenset[TaskMessage]()
        if expired:
            self._expire(expired, now)
        aside = {*expired, *early}
        # A task announced twice in one batch is claimed once: the later run is the one that may begin.
        latest = {m.task_id: m for m in sorted(messages, key=lambda m: m.run) if m not in aside}
        held = self._hold(list(latest.values()))
        return Admitted(startable=held.startable, unhandled=held.unhandled | unsent)

    def _send_on(self, messages: Sequence[TaskMessage]) -> frozenset[TaskMessage]:
        """Send those that come too early again, with the rest of their delay; those that the queue did not take."""
        answers = self._queue.send(messages)
        return frozenset(message for message, answer in zip(messages, answers, strict=True) if answer is not None)

    def _hold(self, messages: Sequence[TaskMessage]) -> Admitted:
        try:
            lines = {message: self._gate.line_for(message.type, message.priority) for message in messages}
        except Unavailable:
            return Admitted(unhandled=frozenset(messages))
        held = {message: line for message, line in lines.items() if line is not None}
        unhandled = self._lines.hold(held) if held else frozenset()
        if held:
            self._release.let_go_if_over(held, self._gate)
        return Admitted(startable=tuple(m for m in messages if m not in held), unhandled=unhandled)

    def _expire(self, messages: Sequence[TaskMessage], now: int) -> None:
        try:
            tasks = self._store.get([message.task_id for message in messages]).values()
        except Unavailable:
            return  # the sweeper expires them
        overdue = [task for task in tasks if task.start_by is not None and task.start_by <= now]
        changes = [
            Change(before=task, after=transitions.expired(task, now, self._timing), unchanged=("status", "run", "line"))
            for task in overdue
        ]
        done = written(changes, self._store.save(changes)) if changes else []
        send_callbacks(self._callback_queue, tasks_after(done), now)
        give_up_slots(self._control, done, now)


def _tolerance(message: TaskMessage) -> int:
    # One with a time slot comes early on purpose: sent again it would come at once, and again, until its moment.
    return EARLY_TOLERANCE_MS if message.reserved_at is None else HOLD_MS
