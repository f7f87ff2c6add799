"""Use case: external workers fetch tasks.

What waits for them stands in lines (``tasklane.line``), so that looking for work is one query of an index. To take a
task is the same conditional write by which a worker claims one: of any number of workers one has it.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tasklane import transitions
from tasklane.announce import Announcer
from tasklane.changes import own_change, tasks_after, written
from tasklane.dispatch import send_callbacks
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.ids import new_lease_id
from tasklane.line import EVERY_PULL, is_pull, pull_line, rank
from tasklane.message import MAX_DELAY_SECONDS, TaskMessage
from tasklane.ports import CallbackQueue, Change, Claim, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.release import Release
from tasklane.task import CallbackEvent, Status, Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

CANDIDATES: Final = 20
"""Entries of the index that a look reads: not more than half a read unit's worth."""
MAX_CANDIDATES: Final = 640
ROUNDS: Final = 10
"""How often a fetch looks at most, where others were faster each time."""
BREATH_SECONDS: Final = 0.05
"""How long it waits at most before it looks again."""
WATCHED_MS: Final = 15_000
"""How long after a lease's end the sweeper looks, should the message at its end have been lost."""


class Fetch:
    """Leases tasks to external workers, in their order: the highest priority first, then first come, first served."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        control: ControlStore,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._clock = clock
        self._timing = timing
        self._gate = Gate(control=control, clock=clock)
        self._release = Release(store=store, queue=queue, control=control, clock=clock, timing=timing)
        self._announcer = Announcer(callback_queue=callback_queue, clock=clock)
        self._being_taken: set[str] = set()
        self._choosing = threading.Lock()

    def __call__(self, types: Sequence[str], limit: int, lease_seconds: int | None = None) -> list[Task]:
        """At most ``limit`` tasks of these ``types`` (none named: of any), now running, in the caller's hands.

        They are his for ``lease_seconds`` (None: as each task says). Where nothing waits at all, finding that out
        costs one query; one more for each of several types where others wait. Raises Unavailable where nothing is known
        to be his.
        """
        found: list[Task] = []
        for number in range(ROUNDS):
            time.sleep(random.uniform(0, BREATH_SECONDS) if number else 0)  # noqa: S311 - no secret
            ids = self._candidates(types, (CANDIDATES << number) + len(self._being_taken))
            if not ids:
                break
            taken, others = self._take(ids, limit - len(found), lease_seconds)
            found += taken
            if len(found) >= limit or not others:
                break
        if found:
            self._announce(found)
        return found

    def give_back(self, tasks: Sequence[Task]) -> None:
        """Let others have what did not reach the worker it was meant for. What fails is left to the leases' ends."""
        now = self._clock.now()
        changes = [own_change(task, transitions.given_back(task, now, self._timing), "lease_id") for task in tasks]
        self._store.save(changes)
        logger.info("Leases were given back.", extra={"action": "given_back", "count": len(tasks)})

    def _candidates(self, types: Sequence[str], count: int) -> list[str]:
        """The first in line, the more of them the more are being taken by others."""
        count = min(count, MAX_CANDIDATES)
        lines = [pull_line(name) for name in types] or [EVERY_PULL]
        if len(lines) > 1 and not self._store.in_line(EVERY_PULL, 1):
            return []  # mostly there is nothing at all, and no need to ask for each type
        ids = [one for line in lines for one in self._store.in_line(line, count)]
        if len(lines) == 1 or not ids:
            return ids
        # The index gives ids without their ranks: of several lines the records say who comes first.
        tasks = self._store.get(ids).values()
        return [task.id for task in sorted(tasks, key=rank)][:count]

    def _take(self, ids: Sequence[str], room: int, lease_seconds: int | None) -> tuple[list[Task], bool]:
        """The tasks that were taken, and whether others had taken some of those that were looked at."""
        taken: list[Task] = []
        left, others = list(ids), False
        while left and len(taken) < room:
            some = self._choose(left, room - len(taken), spread=others)
            if not some:
                return taken, True
            left = [one for one in left if one not in some]
            try:
                mine = self._claimed(some, lease_seconds)
            except Unavailable:
                if not taken:
                    raise
                break  # a table that throttles is not helped by more requests
            finally:
                self._being_taken.difference_update(some)
            taken += mine
            others = others or len(mine) < len(some)
        return taken, others

    def _choose(self, ids: Sequence[str], count: int, *, spread: bool) -> list[str]:
        """Who is tried next: the first in line or, once others were faster, some of the first.

        Workers who all go down the line in step would meet at each task, and all but one of them pay for it. Within a
        process nobody tries what another one is just trying.
        """
        with self._choosing:
            free = [one for one in ids if one not in self._being_taken]
            if spread:
                ahead = free[: 4 * count + 4]
                chosen = set(random.sample(ahead, min(count, len(ahead))))
                free = [one for one in ahead if one in chosen]
            self._being_taken.update(free[:count])
            return free[:count]

    def _claimed(self, task_ids: Sequence[str], lease_seconds: int | None) -> list[Task]:
        startable = self._startable(task_ids) if task_ids else []
        answers = self._store.claim([self._claim(task, lease_seconds) for task in startable]) if startable else []
        mine = [answer for answer in answers if isinstance(answer, Task)]
        refused = next((answer for answer in answers if isinstance(answer, Unavailable)), None)
        if refused is not None and not mine:
            raise refused
        return mine

    def _startable(self, task_ids: Sequence[str]) -> list[Task]:
        """Those that stand in their lines; what has expired or is paused is taken out of the others' way."""
        tasks, now = self._store.get(task_ids), self._clock.now()
        standing = [tasks[one] for one in task_ids if one in tasks and _stands(tasks[one])]
        aside: dict[str, Change] = {}
        held = self._held(standing)
        for task in standing:
            line = held.get(TaskMessage.of(task))
            if task.start_by is not None and task.start_by <= now:
                aside[task.id] = own_change(task, transitions.expired(task, now, self._timing))
            elif line is not None:
                aside[task.id] = own_change(task, transitions.held(task, line, now, self._timing))
        if aside:
            answers = self._store.save(list(aside.values()))
            send_callbacks(self._callback_queue, tasks_after(written(aside.values(), answers)), now)
        if held:
            self._release.let_go_if_over(held, self._gate)
        return [task for task in standing if task.id not in aside]

    def _held(self, tasks: Sequence[Task]) -> dict[TaskMessage, str]:
        """The lines of those that are paused; asked for anew, as nobody but the sweeper would bring them back soon."""
        lines = {TaskMessage.of(task): self._gate.line_for(task.type, task.priority) for task in tasks}
        if any(lines.values()):
            self._gate.look_again()
            lines = {message: self._gate.line_for(message.type, message.priority) for message in lines}
        return {message: line for message, line in lines.items() if line is not None}

    def _claim(self, task: Task, lease_seconds: int | None) -> Claim:
        now = self._clock.now()
        until = now + (lease_seconds or task.timeout_seconds) * 1000
        due_at = None if task.due_at and until < task.due_at <= until + WATCHED_MS else until + WATCHED_MS
        message = TaskMessage.of(task)
        return Claim(message=message, now=now, lease_id=new_lease_id(), lease_until=until, due_at=due_at)

    def _announce(self, tasks: Sequence[Task]) -> None:
        """Let somebody look when these leases run out, and tell those who want to know that a run has begun."""
        now = self._clock.now()
        near = [task for task in tasks if (task.lease_until or 0) - now <= MAX_DELAY_SECONDS * 1000]
        with suppress(Unavailable):  # the sweeper looks, too
            self._queue.send([TaskMessage.at_lease_end(task) for task in near])
        self._announcer.announce(CallbackEvent.RUNNING, tasks)
        self._announcer.settle()


def _stands(task: Task) -> bool:
    return task.status is Status.PENDING and is_pull(task.line)
