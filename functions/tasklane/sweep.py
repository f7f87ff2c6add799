"""Use case: look after every task whose ``due_at`` has come: promote it, send it again, expire it, recover it.

Each change is one conditional write before its message is sent, so of two sweepers at once only one sends.
"""

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from tasklane import timing, transitions
from tasklane.changes import own_change, tasks_after, written
from tasklane.dispatch import send_what_follows
from tasklane.errors import Unavailable
from tasklane.gate import Gate
from tasklane.limits import ManageLimits
from tasklane.line import keeps_from_lanes, limit_key, rank
from tasklane.lines import Lines
from tasklane.lost import after_loss
from tasklane.pause import PauseTasks
from tasklane.ports import CallbackQueue, Change, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.release import Release
from tasklane.retry import Random
from tasklane.slots import give_up_slots
from tasklane.task import CallbackState, Status, Task
from tasklane.task_types import TaskTypes
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

PAGE: Final = 25
"""Tasks looked after at once: one batch of writes."""
MAX_PAGE: Final = 16 * PAGE
"""How far a sweep looks past tasks for which it can do nothing."""
CLOCK_TOLERANCE_MS: Final = 5_000
"""How far clocks of different machines may be apart before a lease is taken to have run out too early."""
RESERVE_SECONDS: Final = 10.0
"""The sweep ends this long before its process must."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """What a sweep did: how many tasks it looked at, changed, and sent.

    ``failed`` counts shards that did not answer and tasks that could not be judged; ``complete`` is False where
    something was left for the next sweep.
    """

    seen: int = 0
    changed: int = 0
    sent: int = 0
    failed: int = 0
    complete: bool = True

    def __add__(self, other: "SweepReport") -> "SweepReport":
        return SweepReport(
            seen=self.seen + other.seen,
            changed=self.changed + other.changed,
            sent=self.sent + other.sent,
            failed=self.failed + other.failed,
            complete=self.complete and other.complete,
        )


class Sweep:
    """Looks after the tasks that nothing else looks after any more. May run anywhere, at any time, twice at once."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        control: ControlStore,
        types: TaskTypes,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._types = types
        self._clock = clock
        self._timing = timing
        self._random = random
        self._control = control
        self._gate = Gate(control=control, clock=clock)
        lines = Lines(store=store, queue=queue, control=control, clock=clock, timing=timing)
        release = Release(store=store, queue=queue, control=control, clock=clock, timing=timing)
        self._let_these_go = release.let_these_go
        self._pauses = PauseTasks(control=control, release=release, clock=clock)
        self._limits = ManageLimits(control=control, lines=lines, release=release, clock=clock)
        self._strays: set[str] = set()
        """Keys that lost runs have given back, and those for whose limits tasks wait that fell due, noted or not."""

    def __call__(self, remaining: Callable[[], float]) -> SweepReport:
        """Sweep every shard, several at a time, until nothing is due or ``remaining`` seconds come to an end.

        A shard that does not answer is left to the next sweep; so is what there was no time for, and since the order of
        the shards is drawn anew each time, a long backlog in some does not keep the others from their turn.
        """
        shards = random.sample(list(self._store.shards), k=len(self._store.shards))
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="sweep") as pool:
            reports = pool.map(lambda shard: self._sweep_shard(shard, remaining), shards)
            total = sum(reports, SweepReport())
        return total + self._release(remaining)

    def _release(self, remaining: Callable[[], float]) -> SweepReport:
        """Look after the lines whose pause is over, or whose limit has room."""
        if remaining() <= RESERVE_SECONDS:
            return SweepReport(complete=False)
        try:
            sent = self._pauses.sweep(lambda: remaining() <= RESERVE_SECONDS)
            strays, self._strays = self._strays, set()
            return SweepReport(sent=sent + self._limits.sweep(lambda: remaining() <= RESERVE_SECONDS, strays))
        except Unavailable as exc:
            extra = {"action": "sweep_failed", "shard": "lines", "error": str(exc)}
            logger.warning("Lines could not be looked after.", extra=extra)
            return SweepReport(failed=1, complete=False)

    def _sweep_shard(self, shard: str, remaining: Callable[[], float]) -> SweepReport:
        total, page = SweepReport(), PAGE
        while remaining() > RESERVE_SECONDS:
            try:
                now = self._clock.now()
                ids = self._store.due(shard, now, page)
                tasks = self._store.get(ids) if ids else {}
            except Unavailable as exc:
                logger.warning(
                    "A shard could not be swept.", extra={"action": "sweep_failed", "shard": shard, "error": str(exc)}
                )
                return replace(total, failed=total.failed + 1, complete=False)
            report = self._look_after(list(tasks.values()), now)
            total += report
            if len(ids) < page or page >= MAX_PAGE:
                return total
            # A page that changed nothing would only be read again (the index lags behind the writes, or it is full of
            # records that this version cannot read): the tasks behind it are found by a larger one.
            page = PAGE if report.changed else 2 * page
        return replace(total, complete=False)

    def _look_after(self, tasks: Sequence[Task], now: int) -> SweepReport:
        self._strays |= {key for task in tasks if (key := limit_key(task.line or "")) is not None}
        over = [task for task in tasks if task.throttle_keys and self._is_held_by_nothing(task, now)]
        self._let_go(over)
        steps = [self._judged(task, now) for task in tasks if task not in over]
        changes = [step for step in steps if isinstance(step, Change)]
        answers = self._store.save(changes) if changes else []
        done = written(changes, answers)
        sent = send_what_follows(self._queue, self._callback_queue, tasks_after(done), now)
        give_up_slots(self._control, done, now)
        self._strays |= {key for change in done for key in change.gives_back}
        failed = sum(isinstance(step, Exception) for step in steps)
        return SweepReport(seen=len(tasks), changed=len(done) + len(over), sent=sent, failed=failed)

    def _let_go(self, tasks: Sequence[Task]) -> None:
        """Let limited tasks whose pause is over and forgotten go on to the lines of their limits."""
        for line in sorted({task.line or "" for task in tasks}):
            with suppress(Unavailable):  # they stay due
                self._let_these_go(line, [task.id for task in sorted(tasks, key=rank) if task.line == line])

    def _is_held_by_nothing(self, task: Task, now: int) -> bool:
        expired = task.start_by is not None and task.start_by <= now
        if not task.status.waiting or expired or not keeps_from_lanes(task.line) or limit_key(task.line or ""):
            return False
        with suppress(Unavailable):
            return task.line != self._gate.line_for(task.type, task.priority)
        return False

    def _judged(self, task: Task, now: int) -> Change | Exception | None:
        try:
            return self.next_step(task, now)
        except Exception as exc:  # one task that cannot be judged must not keep all others from being looked after
            logger.exception("A due task could not be judged.", extra={"action": "judge_failed", "task_id": task.id})
            return exc

    def next_step(self, task: Task, now: int) -> Change | None:
        """The change that a due task needs now; None where it needs none: another sweeper was first."""
        if task.due_at is None or task.due_at > now:
            return None
        if task.status.final:
            after = self._callback_again(task, now)
        elif task.status is Status.RUNNING:
            after = self._check_lease(task, now)
        elif task.start_by is not None and task.start_by <= now:
            after = transitions.expired(task, now, self._timing)
        else:
            after = self._send_again(task, now)
        # A heartbeat moves the lease, another sweeper moves due_at, somebody calls it off: this step is out of date.
        lease = ("lease_until", "cancel_requested") if task.status is Status.RUNNING else ()
        return own_change(task, after, "due_at", *lease)

    def _send_again(self, task: Task, now: int) -> Task:
        paused = keeps_from_lanes(task.line) and limit_key(task.line or "") is None
        if paused and task.line != self._gate.line_for(task.type, task.priority):
            return transitions.let_go(task, now, self._timing)
        if task.external and task.line is None and (task.run_at or 0) <= now:
            return transitions.let_go(task, now, self._timing)  # its message was to see to that
        # A task that was promoted for the first time (it was too far off to be sent before) has not been sent yet.
        first = task.run_at is not None and task.run_at > now
        task = task.evolve(sends=task.sends if first else task.sends + 1)
        return task.evolve(due_at=timing.next_look(task, now, self._timing))

    def _check_lease(self, task: Task, now: int) -> Task:
        lost_at = (task.lease_until or 0) + CLOCK_TOLERANCE_MS
        if now < lost_at:
            return task.evolve(due_at=lost_at)
        return after_loss(task, self._types.policy_of(task), now, self._timing, self._random)

    def _callback_again(self, task: Task, now: int) -> Task:
        callback = task.callback
        if callback is None or callback.state is not CallbackState.PENDING:
            return task.evolve(due_at=None)
        first = callback.next_at is not None and callback.next_at > now
        task = task.evolve(sends=task.sends if first else task.sends + 1)
        look = timing.next_callback_look(task, now, self._timing)
        return timing.kept(task.evolve(due_at=look), look)
