"""Use case: what external workers say of the tasks that they hold: that they are at it, and how it ended.

A worker proves by the lease's token that it holds the task. Time does not decide: a worker that is late still holds it
until somebody has noticed, and after that until somebody else has it, should its work be done.
"""

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tasklane import document, timing, transitions
from tasklane.announce import Announcer
from tasklane.dispatch import send_what_follows
from tasklane.errors import (
    AttemptLost,
    DocumentTooLarge,
    LeaseLost,
    NonRetryable,
    TaskNotFound,
    Unavailable,
    WorkerFailure,
)
from tasklane.ids import new_lease_id
from tasklane.line import is_pull
from tasklane.message import MAX_DELAY_SECONDS, TaskMessage
from tasklane.outcome import what_follows
from tasklane.ports import BlobStore, CallbackQueue, Change, Claim, Clock, TaskQueue, TaskStore
from tasklane.retry import Random, next_attempt_at
from tasklane.task import CallbackEvent, Document, ErrorDetails, Progress, Status, Task
from tasklane.task_types import TaskTypes
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

TRIES: Final = 5
"""How often a change is decided anew because somebody else changed the task in between."""
MAX_STATE: Final = 64 * 1024
"""Bytes of JSON of the largest state: ten of them fit into one answer beside the payloads."""
ENDING_MS: Final = 30_000
"""How long a lease lasts that a late worker is given for nothing but to write what it has done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whoever says to hold a task: by the number of the attempt and, where he was told, the id of the lease.

    ``lease_seconds``: for how long he asked to hold it each time; None: as the task says.
    """

    attempt: int
    lease_id: str | None = None
    lease_seconds: int | None = None

    @classmethod
    def of(cls, task: Task, lease_seconds: int | None = None) -> "Holder":
        """Who holds ``task`` now."""
        return cls(attempt=task.attempt, lease_id=task.lease_id, lease_seconds=lease_seconds)

    @property
    def token(self) -> str:
        """As the worker carries it."""
        return "-".join(str(part) for part in (self.attempt, self.lease_id, self.lease_seconds) if part is not None)

    def holds(self, task: Task) -> bool:
        """True where nobody has taken the task from him."""
        same = task.attempt == self.attempt and self.lease_id in (None, task.lease_id)
        return task.external and task.status is Status.RUNNING and same

    def held_last(self, task: Task) -> bool:
        """True where the lease ran out, and nobody has taken the task since."""
        lost = bool(task.attempts) and task.attempts[-1].error.type == AttemptLost.__name__
        waits = task.status is Status.PENDING and is_pull(task.line)
        return task.external and waits and lost and task.attempt == self.attempt == task.attempts[-1].number


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How an attempt failed, in the worker's words; ``retry_after`` seconds, or as the task's policy says."""

    type: str
    message: str
    retryable: bool = True
    retry_after: float | None = None


class Leases:
    """Ends and renews leases.

    Each method gives the task as it is afterwards, and raises TaskNotFound, LeaseLost, Unavailable.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        blobs: BlobStore,
        types: TaskTypes,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._blobs = blobs
        self._types = types
        self._clock = clock
        self._timing = timing
        self._random = random
        self._announcer = Announcer(callback_queue=callback_queue, clock=clock)

    def heartbeat(
        self,
        task_id: str,
        holder: Holder,
        *,
        lease_seconds: int | None = None,
        progress: Progress | None = None,
        state: Any = None,
    ) -> Task:
        """Let the lease last from now on ``lease_seconds`` (None: as long as the holder asked for, or the task says).

        ``progress`` is shown; ``state`` (JSON) is what the next attempt finds, should this one not end well. None of
        either: as it was. Raises DocumentTooLarge for the state.
        """
        task = self._held(task_id, holder)
        kept = task.state if state is None else self._pack(task, "state", _small(document.to_text(state)))

        def renewed(task: Task, now: int) -> Task:
            after = task.evolve(
                progress=progress or task.progress,
                state=kept,
                has_blobs=task.has_blobs or (kept is not None and kept.blob_key is not None),
            )
            until = now + (lease_seconds or holder.lease_seconds or task.timeout_seconds) * 1000
            return transitions.extended(transitions.announced(task, after), until, self._timing)

        before, after = self._change(task, holder, renewed)
        if (after.lease_until or 0) < (before.lease_until or 0):
            self._look_sooner(after)
        if after.sequence != before.sequence:
            self._announcer.announce(CallbackEvent.PROGRESS, [after])
            self._announcer.settle()
        return after

    def complete(self, task_id: str, holder: Holder, result: Any) -> Task:
        """The work is done: ``result`` (JSON) is the task's. Saying so again, with the same result, changes nothing.

        Raises DocumentTooLarge.
        """
        text = document.to_text(result)
        task = self._read(task_id)
        if task.status is Status.COMPLETED and task.ended_by == holder.token and self._has_result(task, text):
            return task
        owner = holder
        if late := holder.held_last(task):
            task = self._taken_again(task)
            owner = Holder.of(task)
        _require(owner.holds(task), task)
        packed = self._pack(task, "result", text)

        def completed(task: Task, now: int) -> Task:
            # Nobody else has had it: what it was taken again for is the attempt that the worker has worked in.
            after = transitions.completed(task, packed, now, self._timing)
            return after.evolve(ended_by=holder.token, uncounted=task.uncounted + late)

        before, after = self._change(task, owner, completed)
        extra = {"action": "task_completed", "duration_ms": (after.finished_at or 0) - (before.started_at or 0)}
        logger.info("A task was completed.", extra={**extra, **_ids(after)})
        return after

    def fail(self, task_id: str, holder: Holder, failure: Failure) -> Task:
        """The attempt failed: another one follows, or the task has failed, or is cancelled if it was called off.

        Saying so again changes nothing.
        """
        task = self._read(task_id)
        if task.ended_by == holder.token and task.status is not Status.COMPLETED:
            return task

        def failed(task: Task, now: int) -> Task:
            return self._failed(task, failure, now).evolve(ended_by=holder.token)

        _require(holder.holds(task), task)
        return self._change(task, holder, failed)[1]

    def _look_sooner(self, task: Task) -> None:
        """The message for the end of a lease comes when the longest of its terms would have ended, or not at all."""
        if (task.lease_until or 0) - self._clock.now() <= MAX_DELAY_SECONDS * 1000:
            with suppress(Unavailable):  # the sweeper looks, too
                self._queue.send([TaskMessage.at_lease_end(task)])

    def _failed(self, task: Task, failure: Failure, now: int) -> Task:
        if task.cancel_requested:
            logger.info("A running task was cancelled.", extra={"action": "task_cancelled", **_ids(task)})
            return transitions.cancelled(task, now, self._timing)
        error = (
            WorkerFailure(failure.type, failure.message, failure.retry_after)
            if failure.retryable
            else NonRetryable(failure.message)
        )
        retry_at = next_attempt_at(task, self._types.policy_of(task), error, now, self._random)
        follows, extra = what_follows(task, retry_at)
        logger.warning("An attempt failed%s.", follows, extra={**extra, "action": "attempt_failed", **_ids(task)})
        details = ErrorDetails(type=failure.type, message=failure.message)
        return transitions.attempt_failed(task, details, now, self._timing, retry_at=retry_at)

    def _taken_again(self, task: Task) -> Task:
        """The task in the hands of the late worker once more, unless somebody else takes it first."""
        now = self._clock.now()
        until = now + ENDING_MS
        due_at = timing.moved_due(task.due_at or 0, until, self._timing)
        wish = Claim(message=TaskMessage.of(task), now=now, lease_id=new_lease_id(), lease_until=until, due_at=due_at)
        (answer,) = self._store.claim([wish])
        if isinstance(answer, Unavailable):
            raise answer
        if not isinstance(answer, Task):
            raise _lost(self._read(task.id))
        logger.info("A late worker's result is taken.", extra={"action": "late_result", **_ids(task)})
        return answer

    def _change(self, task: Task, holder: Holder, decide: Callable[[Task, int], Task]) -> tuple[Task, Task]:
        """The task before and after; decided anew where somebody else, but no other worker, changed it meanwhile."""
        for _ in range(TRIES):
            now = self._clock.now()
            after = decide(task, now)
            # Who called it off was told that it does not begin again; what has ended has ended.
            called_off = ("cancel_requested",) if after.status.waiting else ()
            change = Change(before=task, after=after, unchanged=("status", "run", "lease_id", *called_off))
            (answer,) = self._store.renew([change])
            if isinstance(answer, Unavailable):
                raise answer
            if answer is not None:
                send_what_follows(self._queue, self._callback_queue, [answer], now)
                return task, answer
            task = self._held(task.id, holder)
        raise Unavailable(f"task {task.id} is being changed by others")

    def _held(self, task_id: str, holder: Holder) -> Task:
        task = self._read(task_id)
        _require(holder.holds(task), task)
        return task

    def _read(self, task_id: str) -> Task:
        task = self._store.get([task_id]).get(task_id)
        if task is None or task.is_gone(self._clock.now()):
            raise TaskNotFound(task_id)
        return task

    def _has_result(self, task: Task, text: str) -> bool:
        return task.result is not None and document.read_text(task.result, self._blobs) == text

    def _pack(self, task: Task, name: str, text: str) -> Document:
        # The lease's id keeps what another worker wrote of the same run, before it was lost, apart.
        prefix = document.blob_prefix(task.id, task.created_at)
        try:
            return document.pack(text, f"{prefix}{name}-{task.run}-{new_lease_id()}", self._blobs)
        except DocumentTooLarge as exc:
            issue = {"pointer": f"/{name}", "detail": f"At most {exc.limit} bytes of JSON."}
            raise DocumentTooLarge(exc.size, exc.limit, [issue]) from exc


def _small(state: str) -> str:
    if (size := len(state.encode())) > MAX_STATE:
        raise DocumentTooLarge(
            size, MAX_STATE, [{"pointer": "/state", "detail": f"At most {MAX_STATE} bytes of JSON."}]
        )
    return state


def _require(held: bool, task: Task) -> None:  # noqa: FBT001 - reads as a sentence
    if not held:
        raise _lost(task)


def _lost(task: Task) -> LeaseLost:
    if not task.external:
        return LeaseLost("The task is not for external workers.")
    if task.status is Status.RUNNING:
        return LeaseLost("Another worker holds the task.")
    return LeaseLost(f"The lease has ended: the task is {task.status}.")


def _ids(task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "task_type": task.type, "attempt": task.attempt}
