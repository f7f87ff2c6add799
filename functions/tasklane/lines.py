"""Makes waiting tasks stand in a line, and lets them go to their lanes again."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from tasklane import transitions
from tasklane.changes import own_change, tasks_after, written
from tasklane.dispatch import send_to_lanes
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.line import limit_line
from tasklane.message import TaskMessage
from tasklane.ports import Change, Clock, TaskQueue, TaskStore
from tasklane.standing import FURTHER, MAX_LOOKS
from tasklane.task import Task
from tasklane.throttle import TimeSlot
from tasklane.transitions import Timing

logger = logging.getLogger(__name__)

CHUNK: Final = 25
"""Tasks of one batch of writes."""
SIDE_BY_SIDE: Final = 8
"""Batches written at once."""
STALE: Final = 25
"""How many that have moved on an index is expected to show still: so many more are asked for."""
LOOKS: Final = 20
"""How often a line is looked at whose index shows only tasks that have moved on, before it is left to the sweeper."""
LAG_SECONDS: Final = 0.1
"""Between two such looks: an index is mostly up to date after some ten milliseconds."""

_T = TypeVar("_T")


def _any(_: Task) -> bool:
    return True


class _Released(NamedTuple):
    gone: list[Task]
    kept: int
    """How many stand there still, because nobody asked for them."""


class Lines:
    """Moves tasks between lanes and lines; each move is one conditional write before its message is sent."""

    def __init__(self, *, store: TaskStore, queue: TaskQueue, clock: Clock, timing: Timing) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._timing = timing

    def hold(self, lines: Mapping[TaskMessage, str]) -> frozenset[TaskMessage]:
        """Make the tasks that these messages announce stand in their lines; the messages that must come again.

        A task that has moved on since its message was sent stays as it is.
        """
        try:
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

    def let_go_if_over(self, held: Mapping[TaskMessage, str], gate: Gate) -> None:
        """Let those go for which ``gate`` does not say any more that they have to stand in that line.

        What held them back may have ended before they stood there, and then nobody would look for them. What cannot be
        asked is left to whoever ended it, who looks once more.
        """
        over: dict[str, list[str]] = {}
        with suppress(Unavailable):
            gate.look_again()
            for message, line in held.items():
                if gate.line_for(message.type, message.priority) != line:
                    over.setdefault(line, []).append(message.task_id)
            for line, task_ids in over.items():
                self.let_these_go(line, task_ids)

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
        """Let the first ``count`` that wait for the limit of ``key`` try again; how many did. Raises Unavailable."""
        total, looks = 0, count + STALE
        while count and not total:
            ids = self._store.in_line(limit_line(key), looks)
            is_cut, looks = len(ids) == looks, FURTHER * looks
            while ids and total < count:
                size = min(count - total, CHUNK)
                gone = self._released(limit_line(key), ids[:size]).gone
                send_to_lanes(self._queue, gone, self._clock.now(), woken=True)
                total, ids = total + len(gone), ids[size:]
            if not is_cut or looks > MAX_LOOKS:
                break
        return total

    def anybody_in(self, line: str) -> bool:
        """Whether somebody stands in a line. Raises Unavailable."""
        return bool(self._store.in_line(line, 1))

    def let_go(
        self, line: str, enough: Callable[[], bool], *, woken: bool = False, where: Callable[[Task], bool] = _any
    ) -> tuple[int, bool]:
        """Send the tasks of a line to their lanes, in order, until ``enough``; ``woken`` as in ``let_these_go``.

        It ends where ``where`` is true of none of those that come next. How many went, and whether the line is known to
        be empty. Raises Unavailable.
        """
        total, in_vain = 0, 0
        while in_vain < LOOKS and not enough():
            ids = self._store.in_line(line, CHUNK * SIDE_BY_SIDE)
            if not ids:
                return total, True
            with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="let-go") as pool:
                chunks = list(pool.map(lambda chunk: self._released(line, chunk, where), _chunks(ids, CHUNK)))
            gone = [task for chunk in chunks for task in chunk.gone]
            send_to_lanes(self._queue, gone, self._clock.now(), woken=woken)
            total += len(gone)
            if not gone and any(chunk.kept for chunk in chunks):
                break
            in_vain = 0 if gone else in_vain + 1
            if not gone:  # others moved them: the index does not show it yet
                time.sleep(LAG_SECONDS)
        return total, False

    def let_these_go(self, line: str, task_ids: Sequence[str], *, woken: bool = False) -> None:
        """Send these tasks to their lanes if they still stand in ``line``. Raises Unavailable.

        ``woken``: they may try to start though others stand in that line.
        """
        send_to_lanes(self._queue, self._released(line, task_ids).gone, self._clock.now(), woken=woken)

    def _released(self, line: str, task_ids: Sequence[str], where: Callable[[Task], bool] = _any) -> _Released:
        now = self._clock.now()
        tasks = self._store.get(task_ids)
        standing = [tasks[one] for one in task_ids if one in tasks and tasks[one].line == line]
        meant = [task for task in standing if where(task)]
        changes = [own_change(task, transitions.let_go(task, now, self._timing)) for task in meant]
        answers = self._store.save(changes) if changes else []
        return _Released(gone=tasks_after(written(changes, answers)), kept=len(standing) - len(meant))

    def _held(self, task: Task, line: str, now: int) -> Change:
        return own_change(task, transitions.held(task, line, now, self._timing))


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
