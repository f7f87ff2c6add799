"""The runs of a batch that have ended, until what became of them is written and sent on.

A bucket or a table that is away must not make a handler's work be done again, so there is patience for as long as this
process has time. The lease need not last as long: whoever takes the run after it is told apart by the fence. Meanwhile
nothing here waits, so that the others of the batch are renewed.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasklane import transitions
from tasklane.changes import tasks_after, written
from tasklane.dispatch import send_what_follows
from tasklane.errors import Unavailable
from tasklane.outcome import NotKeptYet, Outcomes
from tasklane.ports import CallbackQueue, Change, Clock, TaskQueue, TaskStore
from tasklane.run import Run
from tasklane.save import log_given_up, log_run_lost, pauses_while
from tasklane.task import Status, Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

KEEP_SECONDS: Final = 1.5
"""With less time than this left a result that the bucket has not taken yet counts as not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one run ended: the task's status after it, and milliseconds from its start."""

    task: Task
    duration_ms: int


class Ending:
    """Writes the outcomes of one batch. ``remaining`` tells the seconds this process still has."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        outcomes: Outcomes,
        clock: Clock,
        timing: Timing,
        remaining: Callable[[], float],
    ) -> None:
        self.written: list[Outcome] = []
        """What was written."""
        self.unwritten = 0
        """How many runs ended without an outcome: somebody else has the task, or the table was away for too long."""
        self.freed: list[str] = []
        """The keys whose limits have room again, once for each run that counted towards them."""
        self.unkept: list[Run] = []
        """Those whose result is on its way to the bucket. They hold their task, so their lease is to be renewed."""
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._outcomes = outcomes
        self._clock = clock
        self._timing = timing
        self._remaining = remaining
        self._refused: list[Change] = []
        self._pauses: Iterator[float] | None = None
        self._next_try = math.inf

    @property
    def is_over(self) -> bool:
        """True where nothing is left to do."""
        return not (self.unkept or self._refused)

    def pause(self) -> float:
        """Seconds until ``take`` wants to be called again, though no run has ended."""
        keeping = self._remaining() - KEEP_SECONDS if self.unkept else math.inf
        return max(0.0, min(self._next_try - time.monotonic(), keeping))

    def take(self, ended: Sequence[Run]) -> None:
        """Write the outcomes of these, and of those before them that could not be written yet. Never raises."""
        changes = self._settled(ended)
        if changes or time.monotonic() >= self._next_try:
            self._write([*self._refused, *changes])

    def drop(self, lost: Sequence[Run]) -> None:
        """Forget these: somebody else has their tasks."""
        self.unkept = [run for run in self.unkept if run not in lost]
        self.unwritten += len(lost)

    def _settled(self, ended: Sequence[Run]) -> list[Change]:
        last = self._remaining() <= KEEP_SECONDS
        ready = [run for run in self.unkept if last or run.keeping is None or run.keeping.done()]
        self.unkept = [run for run in self.unkept if run not in ready]
        changes = []
        for run in (*ready, *ended):
            try:
                after = self._outcomes.after(run, self._remaining, last=last)
            except NotKeptYet:
                self.unkept.append(run)
            else:
                changes.append(_outcome_change(run.task, after))
        return changes

    def _write(self, changes: Sequence[Change]) -> None:
        answers = list(zip(changes, self._save(changes), strict=True))
        not_taken = [change for change, answer in answers if answer is False]
        off = self._called_off([change.before for change in not_taken if change.after.status.waiting])
        called_off = {change.before.id for change in off}
        for lost in (change.before for change in not_taken if change.before.id not in called_off):
            log_run_lost(lost)
            self.unwritten += 1
        answers += zip(off, self._save(off), strict=True)
        self._refused = [change for change, answer in answers if isinstance(answer, Unavailable)]
        self._plan()

    def _save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        answers = self._store.save(changes) if changes else []
        done = written(changes, answers)
        send_what_follows(self._queue, self._callback_queue, tasks_after(done), self._clock.now())
        self.written += [_outcome(change.after) for change in done]
        self.freed += [key for change in done for key in change.gives_back]
        return answers

    def _plan(self) -> None:
        self._next_try = math.inf
        if not self._refused:
            self._pauses = None
            return
        if self._pauses is None:
            self._pauses = pauses_while(self._remaining)
            ids = [change.before.id for change in self._refused]
            logger.warning("Outcomes cannot be written yet.", extra={"action": "save_waits", "task_ids": ids})
        pause = next(self._pauses, None)
        if pause is None:
            log_given_up(self._refused)
            self.unwritten += len(self._refused)
            self._refused, self._pauses = [], None
        else:
            self._next_try = time.monotonic() + pause

    def _called_off(self, tasks: Sequence[Task]) -> list[Change]:
        """End those of these runs that were called off just before they would have begun to wait for the next."""
        try:
            found = self._store.get([task.id for task in tasks]) if tasks else {}
        except Unavailable:
            return []  # their leases run out, and the sweeper cancels them
        mine = [found[task.id] for task in tasks if task.id in found and found[task.id].run == task.run]
        off = [task for task in mine if task.status is Status.RUNNING and task.cancel_requested]
        now = self._clock.now()
        return [Change(before=task, after=transitions.cancelled(task, now, self._timing)) for task in off]


def _outcome_change(before: Task, after: Task) -> Change:
    # Who called the task off was told that it would not begin again: then a next run must not be arranged.
    called_off = ("cancel_requested",) if after.status.waiting else ()
    return Change(before=before, after=after, unchanged=("status", "run", *called_off))


def _outcome(task: Task) -> Outcome:
    ended = task.finished_at or (task.attempts[-1].finished_at if task.attempts else task.created_at)
    return Outcome(task=task, duration_ms=max(0, ended - (task.started_at or ended)))
