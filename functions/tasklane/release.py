"""A shared step: lets tasks go that something has held back.

Who is limited does not go to a lane, where the first to arrive would start first: he goes on waiting in the line of
his limit, in his order, and is called as often as there are free slots; or he gets his time slot, in that order, too.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from tasklane import transitions
from tasklane.changes import own_change, tasks_after, written
from tasklane.dispatch import send_to_lanes
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.line import NOTED_MS, is_rate, limit_key, limit_line
from tasklane.lines import Lines
from tasklane.message import TaskMessage
from tasklane.ports import Change, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.slots import Reserved, reserve_slots, slots_of
from tasklane.task import Task
from tasklane.throttle import Limit, LimitState, has_rate, is_valid
from tasklane.timing import Timing

CHUNK: Final = 25
"""Tasks of one batch of writes."""
SIDE_BY_SIDE: Final = 8
"""Batches written at once."""
LOOKS: Final = 20
"""How often a line is looked at whose index shows only tasks that have moved on, before it is left to the sweeper."""
LAG_SECONDS: Final = 0.1
"""Between two such looks: an index is mostly up to date after some ten milliseconds."""
LEAD_MS: Final = 1_500
"""How far off the first time slot is: until then hundreds are sent, and worker processes may have to begin."""
CALLED_AT_ONCE: Final = 100
"""Free slots of one key that are told of in one go; the others follow when those end, or with the next sweep."""

_T = TypeVar("_T")
_Answer = TypeVar("_Answer")


def _any(_: Task) -> bool:
    return True


def _none(_: Task) -> bool:
    return False


class _Round(NamedTuple):
    gone: list[Task]
    stayed: list[Task]
    """Who stands there still, because nobody asked for him."""


class Release:
    """Moves tasks out of lines; each move is one conditional write before its message is sent."""

    def __init__(
        self, *, store: TaskStore, queue: TaskQueue, control: ControlStore, clock: Clock, timing: Timing
    ) -> None:
        self._store = store
        self._queue = queue
        self._control = control
        self._clock = clock
        self._timing = timing
        self._lines = Lines(store=store, queue=queue, control=control, clock=clock, timing=timing)

    def let_go(
        self,
        line: str,
        enough: Callable[[], bool],
        *,
        where: Callable[[Task], bool] = _any,
        past: Callable[[Task], bool] = _none,
    ) -> tuple[int, bool]:
        """Let the tasks of a line go, in order, until ``enough``.

        It ends where ``where`` is true of none of those that come next, but for those who stay though ``past`` is true
        of them: others who are to go stand behind these. How many went, and whether the line is known to be empty.
        Raises Unavailable.
        """
        total, in_vain = 0, 0
        moved, passed = set[str](), set[str]()
        called: Counter[str] = Counter()
        while in_vain < LOOKS and not enough():
            ids = self._store.in_line(line, CHUNK * SIDE_BY_SIDE + len(passed))
            if not ids:
                return total, True
            ids = [one for one in ids if one not in passed]
            gone, stayed = self._round(line, ids, lambda task: task.id not in moved and where(task), called)
            over = {task.id for task in stayed if past(task)}
            # Who was let go and stands there again was held by a worker that has not heard of it: it lets him go, too.
            others = [task for task in stayed if task.id not in over and task.id not in moved]
            moved.update(task.id for task in gone)
            passed |= over
            total += len(gone)
            if not gone and (not ids or others):
                break
            in_vain = 0 if gone or over else in_vain + 1
            if in_vain:  # others moved them: the index does not show it yet
                time.sleep(LAG_SECONDS)
        return total, False

    def let_these_go(self, line: str, task_ids: Sequence[str]) -> None:
        """Let these go if they still stand in ``line``. Raises Unavailable."""
        self._round(line, task_ids, _any, Counter())

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

    def _round(self, line: str, task_ids: Sequence[str], where: Callable[[Task], bool], called: Counter[str]) -> _Round:
        """Let those of these go for whom ``where`` is true; ``called`` says how many of each key were called."""
        tasks: dict[str, Task] = {}
        for some in _side_by_side(self._read, task_ids):
            tasks |= some
        standing = [tasks[one] for one in task_ids if one in tasks and tasks[one].line == line]
        changes = self._changes([task for task in standing if where(task)])
        gone = [task for some in _side_by_side(self._written, changes) for task in some]
        send_to_lanes(self._queue, gone, self._clock.now(), woken=limit_key(line) is not None)
        self._call(gone, called)
        asked_for = {change.before.id for change in changes}
        return _Round(gone=gone, stayed=[task for task in standing if task.id not in asked_for])

    def _changes(self, tasks: Sequence[Task]) -> list[Change]:
        """Where each of them goes; without those that stay where they are."""
        now = self._clock.now()
        limits = self._limits_of(tasks)
        by_id = {task.id: task for task in tasks}
        lines = {
            one: limit_line(key)
            for one, some in limits.items()
            if not _waits_for_a_timetable(by_id[one], some) and (key := _longest_waited_for(some))
        }
        reserved = self._reserve(tasks, {one: _limits(some) for one, some in limits.items() if one not in lines}, now)
        lines |= {one: limit_line(key) for one, key in reserved.full.items()}
        self._lines.note(lines.values())
        changes = []
        for task in tasks:
            after = transitions.let_go(task, now, self._timing)
            if task.id in lines:
                after = transitions.held(after, lines[task.id], now, self._timing)
            elif task.id in reserved.slots:
                after = transitions.put_off(after, reserved.slots[task.id], now, self._timing)
            if (after.line, after.run) != (task.line, task.run):
                changes.append(own_change(task, after))
        return changes

    def _read(self, task_ids: Sequence[str]) -> dict[str, Task]:
        return self._store.get(task_ids)

    def _written(self, changes: Sequence[Change]) -> list[Task]:
        return tasks_after(written(changes, self._store.save(changes)))

    def _limits_of(self, tasks: Sequence[Task]) -> dict[str, list[LimitState]]:
        """The limits that hold for those of these that are limited. Tasks without keys cost nothing here."""
        keys = sorted({key for task in tasks for key in task.throttle_keys})
        states = self._control.limits(keys) if keys else {}
        limits = {task.id: [states[key] for key in task.throttle_keys if key in states] for task in tasks}
        return {task_id: some for task_id, some in limits.items() if some}

    def _reserve(self, tasks: Sequence[Task], limits: Mapping[str, Sequence[Limit]], now: int) -> Reserved:
        """Time slots of those that need one, in order. Whose rate has just been changed asks for his in a worker.

        Who stands in the line of a rate may have one that still holds by another, but no longer because of it.
        """
        by_id = {task.id: task for task in tasks}
        wanting = {
            one: some
            for one, some in limits.items()
            if has_rate(some) and (is_rate(by_id[one].line) or not _has_slot(by_id[one], some, now))
        }
        reserved = reserve_slots(self._control, wanting, slots_of(tasks), now, lambda _: LEAD_MS)
        for key in sorted(reserved.gaps):
            self._control.note_waiting(key, now + NOTED_MS)
        return reserved

    def _call(self, gone: Sequence[Task], called: Counter[str]) -> None:
        """Tell those who have just joined the lines of limits of free slots; the index may not know of them yet."""
        waiting: dict[str, list[Task]] = {}
        for task in gone:
            if (key := limit_key(task.line or "")) is not None:
                waiting.setdefault(key, []).append(task)
        states = self._control.limits(sorted(waiting)) if waiting else {}
        for key, some in waiting.items():
            state = states.get(key)
            if state is not None and state.room is None and state.limit.rate is not None:
                continue  # they wait for room in a timetable
            room = CALLED_AT_ONCE if state is None or state.room is None else min(state.room, CALLED_AT_ONCE)
            most = CALLED_AT_ONCE if state is None else state.limit.max_concurrent or CALLED_AT_ONCE
            # A slot that was told of may still look free: whoever takes it is on his way.
            called[key] += self._lines.call(key, some[: max(0, min(room, most - called[key]))])


def _longest_waited_for(states: Sequence[LimitState]) -> str | None:
    """Of the keys that limit how many run at once the one with the least room; None: there is none of these."""
    rooms = [(state.room, state.limit.key) for state in states if state.room is not None]
    return min(rooms)[1] if rooms else None


def _waits_for_a_timetable(task: Task, states: Sequence[LimitState]) -> bool:
    """True for who stands in line since a timetable is full: called from another line, he would find it full again."""
    key = limit_key(task.line or "")
    rated = [state for state in states if state.limit.rate is not None]
    return len(rated) > 1 and any(state.limit.key == key and state.room is None for state in rated)


def _has_slot(task: Task, limits: Sequence[Limit], now: int) -> bool:
    return is_valid(task.reserved_at, task.reserved_on, limits, now)


def _limits(states: Sequence[LimitState]) -> list[Limit]:
    return [state.limit for state in states]


def _side_by_side(do: Callable[[Sequence[_T]], _Answer], items: Sequence[_T]) -> list[_Answer]:
    """``do`` to these in batches, several at once."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    if len(chunks) < 2:
        return [do(chunk) for chunk in chunks]
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE, thread_name_prefix="let-go") as pool:
        return list(pool.map(do, chunks))
