"""A shared step: makes waiting tasks stand in a line, and tells of free slots those who stand there."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tasklane import transitions
from tasklane.changes import own_change
from tasklane.dispatch import send_free_slots, send_to_lanes
from tasklane.errors import Unavailable
from tasklane.line import NOTED_MS, limit_key, limit_line
from tasklane.message import TaskMessage
from tasklane.ports import Change, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.standing import FURTHER, MAX_LOOKS
from tasklane.task import Task
from tasklane.throttle import TimeSlot
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

STALE: Final = 25
"""How many that have moved on an index is expected to show still: so many more are asked for."""


class Lines:
    """Moves tasks from lanes to lines; each move is one conditional write."""

    def __init__(
        self, *, store: TaskStore, queue: TaskQueue, control: ControlStore, clock: Clock, timing: Timing
    ) -> None:
        self._store = store
        self._queue = queue
        self._control = control
        self._clock = clock
        self._timing = timing
        self._noted: dict[str, int] = {}

    def hold(self, lines: Mapping[TaskMessage, str]) -> frozenset[TaskMessage]:
        """Make the tasks that these messages announce stand in their lines; the messages that must come again.

        A task that has moved on since its message was sent stays as it is.
        """
        try:
            self.note(lines.values())
            tasks = self._store.get([message.task_id for message in lines])
        except Unavailable:
            return frozenset(lines)
        now = self._clock.now()
        changes = {
            m: self._held(tasks[m.task_id], line, now)
            for m, line in lines.items()
            if m.announces(tasks.get(m.task_id)) and tasks[m.task_id].line != line
        }
        answers = self._store.save(list(changes.values())) if changes else []
        extra = {"action": "held", "count": len(changes), "lines": sorted(set(lines.values()))}
        logger.info("Tasks are held back.", extra=extra)
        return frozenset(m for m, answer in zip(changes, answers, strict=True) if isinstance(answer, Unavailable))

    def note(self, lines: Collection[str]) -> None:
        """Note which of these are lines of limits, before somebody joins them: the sweeper looks there.

        Raises Unavailable.
        """
        now = self._clock.now()
        for key in sorted({key for line in lines if (key := limit_key(line)) is not None}):
            if self._noted.get(key, 0) < now + NOTED_MS // 2:
                self._control.note_waiting(key, now + NOTED_MS)
                self._noted[key] = now + NOTED_MS

    def put_off(self, slots: Mapping[TaskMessage, TimeSlot], tasks: Mapping[str, Task]) -> frozenset[TaskMessage]:
        """Send the announced tasks again for their time slots; the messages that must come again.

        ``tasks`` are their records, as they were when the slots were reserved.
        """
        now = self._clock.now()
        changes = {
            m: own_change(
                tasks[m.task_id], transitions.put_off(tasks[m.task_id], slot, now, self._timing), "reserved_at"
            )
            for m, slot in slots.items()
        }
        answers = list(zip(changes.items(), self._store.save(list(changes.values())), strict=True)) if changes else []
        send_to_lanes(self._queue, [change.after for (_, change), answer in answers if answer is True], now)
        return frozenset(message for (message, _), answer in answers if isinstance(answer, Unavailable))

    def wake(self, key: str, count: int) -> int:
        """Send word of ``count`` free slots to those who stand first in the line of the limit of ``key``.

        They stay in line until they are claimed, so that nobody comes in between. How many were sent. Raises
        Unavailable.
        """
        first: list[Task] = []
        looks = count + STALE
        while count and not first:
            ids = self._store.in_line(limit_line(key), looks)
            is_cut, looks = len(ids) == looks, FURTHER * looks
            while ids and len(first) < count:
                size = count - len(first)
                first += self._standing(key, ids[:size])
                ids = ids[size:]
            if not is_cut or looks > MAX_LOOKS:
                break
        return self.call(key, first)

    def call(self, key: str, tasks: Sequence[Task], not_before: int | None = None) -> int:
        """Send word of so many free slots of the limit of ``key`` as ``tasks`` wait for them; how many were sent."""
        return send_free_slots(self._queue, key, tasks, not_before)

    def anybody_in(self, line: str) -> bool:
        """Whether somebody stands in a line. Raises Unavailable."""
        return bool(self._store.in_line(line, 1))

    def send_first(self, key: str, task_id: str) -> None:
        """Send the task that stands first in the line of a limit that has room to its lane. Raises Unavailable."""
        task = next(iter(self._standing(key, [task_id])), None)
        if task is None:
            return
        now = self._clock.now()
        change = own_change(task, transitions.let_go(task, now, self._timing))
        (answer,) = self._store.save([change])
        if isinstance(answer, Unavailable):
            raise answer
        if answer:
            send_to_lanes(self._queue, [change.after], now, woken=True)

    def _standing(self, key: str, task_ids: Sequence[str]) -> list[Task]:
        tasks = self._store.get(task_ids)
        return [tasks[one] for one in task_ids if one in tasks and tasks[one].line == limit_line(key)]

    def _held(self, task: Task, line: str, now: int) -> Change:
        return own_change(task, transitions.held(task, line, now, self._timing))
