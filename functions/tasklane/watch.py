"""Watches the runs of a batch: takes those that have ended, times out those that overrun, renews the rest."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, wait
from typing import Final

from tasklane import transitions
from tasklane.announce import Announcer
from tasklane.ending import Ending
from tasklane.errors import Unavailable
from tasklane.invoke import Invoker
from tasklane.ports import Change, Clock, TaskStore
from tasklane.run import Run
from tasklane.task import CallbackEvent, Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

LINGER_SECONDS: Final = 0.01
"""How long a first outcome waits for others of its batch, so that they share a write."""
WATCH_SECONDS: Final = 1.0
"""How often the worker looks up from waiting."""
NEWS_SECONDS: Final = 2.0
"""At most so often is a task's progress or checkpoint written."""
HEARTBEAT_SECONDS: Final = 10.0
"""So often is a run without news renewed, whose answer also tells that its task was called off."""
LOOK_SECONDS: Final = 1.0
"""At most so often is a record read because its handler would hear that the task was called off."""
ASKING_SECONDS: Final = 10.0
"""So long after its last question a plain handler is taken to ask: the next one is to find the answer there."""


class Watch:
    """Looks after runs from their start to their end."""

    def __init__(
        self, *, store: TaskStore, invoker: Invoker, announcer: Announcer, clock: Clock, timing: Timing
    ) -> None:
        self._store = store
        self._invoker = invoker
        self._announcer = announcer
        self._clock = clock
        self._timing = timing

    def until_all_end(
        self,
        runs: Sequence[Run],
        ending: Ending,
        next_runs: Callable[[], Sequence[Run]] = lambda: (),
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand runs to ``ending`` as they end, several at a time, until none is left and all outcomes are written.

        ``next_runs`` is asked for more whenever some have ended; ``beat`` is called each time the worker looks up.

        A run that overruns is abandoned first. A run that was lost to somebody else is dropped: it has no outcome.
        """
        left = list(runs)
        while left or not ending.is_over:
            self._wait(left, ending)
            ended = [run for run in left if run.future.done() or run.overdue]
            for run in ended:
                if not run.future.done():
                    run.timed_out = True
                    self._invoker.abandon(run.future)
            left = [run for run in left if run not in ended]
            ending.take(ended)
            lost = self._renew([run for run in (*left, *ending.unkept) if _has_news(run)])
            left = [run for run in left if run not in lost]
            ending.drop(lost)
            self._look(left)
            beat()
            left += next_runs()

    def _wait(self, runs: Sequence[Run], ending: Ending) -> None:
        futures = [run.future for run in runs]
        keeping = [run.keeping for run in ending.unkept if run.keeping is not None]
        deadlines = (run.deadline - time.monotonic() for run in runs)
        pause = max(0.0, min(WATCH_SECONDS, ending.pause(), *deadlines))
        if not (futures or keeping):
            time.sleep(pause)
            return
        done, _ = wait([*futures, *keeping], timeout=pause, return_when=FIRST_COMPLETED)
        # Who counts towards a limit has others waiting: its outcome is not kept for company.
        at_once = any(run.task.slots for run in runs if run.future in done)
        if not done.isdisjoint(futures) and len(done) < len(futures) and not at_once:
            wait(futures, timeout=LINGER_SECONDS, return_when=ALL_COMPLETED)

    def _renew(self, runs: Sequence[Run]) -> list[Run]:
        """Write what is new of these runs, and that they live; those that are lost."""
        if not runs:
            return []
        now = self._clock.now()
        answers = self._store.renew([self._renewal(run, now) for run in runs])
        lost, got_on = [], []
        for run, answer in zip(runs, answers, strict=True):
            run.renewed = time.monotonic()
            if isinstance(answer, Task):
                if answer.sequence != run.task.sequence:
                    got_on.append(answer)
                run.task = answer
                if answer.cancel_requested:
                    self._cancel(run)
            elif answer is None:
                lost.append(run)
                run.context.close()
                self._invoker.abandon(run.future)
                logger.warning("The run had been lost.", extra={"action": "run_lost", "task_id": run.task.id})
        self._announcer.announce(CallbackEvent.PROGRESS, got_on)
        return lost

    def _renewal(self, run: Run, now: int) -> Change:
        after = transitions.announced(run.task, run.last_words())
        return Change(before=run.task, after=transitions.renewed(after, now, self._timing))

    def _look(self, runs: Sequence[Run]) -> None:
        """Find out for handlers that would hear of it whether their tasks were called off, all in one read."""
        listening = [run for run in runs if _listens(run)]
        if not any(_was_not_seen_lately(run) for run in listening):
            return
        try:
            found = self._store.get([run.task.id for run in listening])
        except Unavailable:
            found = {}  # the next look, or the next heartbeat, will tell
        for run in listening:
            run.looked = time.monotonic()
            task = found.get(run.task.id, run.task)
            if task.run == run.task.run and task.cancel_requested:
                run.task = task
                self._cancel(run)

    def _cancel(self, run: Run) -> None:
        if run.context.cancelled:
            return
        run.context.cancel()
        if run.task_type.is_async:
            self._invoker.abandon(run.future)


def _has_news(run: Run) -> bool:
    age = time.monotonic() - run.renewed
    said = (run.context.last_progress(), run.context.last_state())
    return age >= HEARTBEAT_SECONDS or (age >= NEWS_SECONDS and said != (run.task.progress, run.task.state))


def _listens(run: Run) -> bool:
    """Whether the handler would hear at once that its task was called off: an async one always, a plain one if asking.

    One that asks more rarely has been told by a heartbeat before it asks again.
    """
    if run.task.cancel_requested:
        return False
    return run.task_type.is_async or time.monotonic() - run.context.last_asked() < ASKING_SECONDS


def _was_not_seen_lately(run: Run) -> bool:
    return time.monotonic() - max(run.renewed, run.looked) >= LOOK_SECONDS
