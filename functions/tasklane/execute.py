"""Use case: run a batch of tasks. One request claims them all; outcomes are written as they come, several at a time."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from tasklane import document, transitions
from tasklane.admission import Admission
from tasklane.announce import Announcer
from tasklane.context import TaskContext
from tasklane.ending import Ending, Outcome
from tasklane.errors import TasklaneError, Unavailable
from tasklane.gate import Gate
from tasklane.ids import new_lease_id
from tasklane.invoke import HandlerStopped, Invoker
from tasklane.lines import Lines
from tasklane.message import TaskMessage
from tasklane.outcome import Outcomes
from tasklane.ports import (
    BlobStore,
    CallbackQueue,
    Claim,
    Clock,
    ControlStore,
    Downloader,
    Mailer,
    TaskQueue,
    TaskStore,
)
from tasklane.registry import Registry, TaskType
from tasklane.retry import Random
from tasklane.run import Run
from tasklane.save import patiently
from tasklane.task import CallbackEvent, Task
from tasklane.transitions import Timing
from tasklane.watch import Watch

logger = logging.getLogger(__name__)

REPORT_RESERVE_SECONDS: Final = 3.0
"""Kept back from an invocation's time, so that the outcome of what overran can still be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReport:
    """What became of a batch.

    ``unhandled`` are the positions of messages that must come again, ``outcomes`` what was written, ``unwritten`` is
    how many runs ended without: their tasks were somebody else's by then, or the table was away for too long.
    """

    unhandled: frozenset[int] = frozenset()
    refused: int = 0
    outcomes: tuple[Outcome, ...] = ()
    unwritten: int = 0

    def __add__(self, other: "BatchReport") -> "BatchReport":
        return BatchReport(
            unhandled=self.unhandled | other.unhandled,
            refused=self.refused + other.refused,
            outcomes=self.outcomes + other.outcomes,
            unwritten=self.unwritten + other.unwritten,
        )

    @property
    def ran(self) -> int:
        """How many runs there were."""
        return len(self.outcomes) + self.unwritten


class Execute:
    """Claims tasks, runs their handlers side by side, writes the outcomes, and sends what follows from them."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        blobs: BlobStore,
        downloader: Downloader,
        mailer: Mailer,
        control: ControlStore,
        registry: Registry,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._blobs = blobs
        self._downloader = downloader
        self._mailer = mailer
        self._registry = registry
        self._clock = clock
        self._timing = timing
        self._invoker = Invoker()
        self._announcer = Announcer(callback_queue=callback_queue, clock=clock)
        lines = Lines(store=store, queue=queue, clock=clock, timing=timing)
        gate = Gate(control=control, clock=clock)
        self._admission = Admission(
            store=store, queue=queue, callback_queue=callback_queue, gate=gate, lines=lines, clock=clock, timing=timing
        )
        self._watch = Watch(store=store, invoker=self._invoker, announcer=self._announcer, clock=clock, timing=timing)
        self._outcomes = Outcomes(blobs=blobs, clock=clock, timing=timing, random=random)

    def __call__(self, messages: Sequence[TaskMessage], remaining: Callable[[], float]) -> BatchReport:
        """Run the tasks that ``messages`` announce; ``remaining`` tells the seconds this process still has.

        A task whose last worker was lost may have brought it down: it runs alone, when the outcomes of all others are
        written and the rest not yet claimed, so that it cannot use up the attempts of its neighbours. One that needs
        most of the time there is goes first, and the others are sent again: on a busy lane its turn would never come.

        Never raises for one task's sake. A refused claim is a doubled message and counts as handled.
        """
        lost = [i for i, message in enumerate(messages) if message.lost]
        long = next((i for i in lost if messages[i].timeout_seconds > remaining() / 2), None)
        if long is not None:
            others = [i for i in range(len(messages)) if i != long]
            return self._send_again(messages, others) + self._run(messages, [long], remaining)
        report = self._run(messages, [i for i in range(len(messages)) if i not in lost], remaining)
        for i in lost:
            if report.ran and remaining() < messages[i].timeout_seconds + REPORT_RESERVE_SECONDS:
                report += self._send_again(messages, [i])  # it would be cut short here; another process has the time
            else:
                report += self._run(messages, [i], remaining)
        return report

    def _send_again(self, messages: Sequence[TaskMessage], positions: Sequence[int]) -> BatchReport:
        answers = self._queue.send([messages[i] for i in positions]) if positions else []
        return BatchReport(unhandled=frozenset(i for i, a in zip(positions, answers, strict=True) if a is not None))

    def _run(
        self, messages: Sequence[TaskMessage], positions: Sequence[int], remaining: Callable[[], float]
    ) -> BatchReport:
        admitted = self._admission([messages[i] for i in positions])
        now = self._clock.now()
        startable = admitted.startable
        answers = self._store.claim([self._claim(message, now) for message in startable]) if startable else []
        refused_by_store = [m for m, answer in zip(startable, answers, strict=True) if isinstance(answer, Unavailable)]
        unhandled = {messages.index(message) for message in (*admitted.unhandled, *refused_by_store)}
        tasks = [answer for answer in answers if isinstance(answer, Task)]
        refused = len(answers) - len(refused_by_store) - len(tasks)
        if refused:
            logger.info("Some messages were doubled or late.", extra={"action": "claim_refused", "count": refused})
        ending = self._ending(remaining)
        runs = [self._begin(task, remaining()) for task in tasks]
        self._announcer.announce(CallbackEvent.RUNNING, tasks)
        self._watch.until_all_end(runs, ending)
        self._announcer.settle()
        return BatchReport(
            unhandled=frozenset(unhandled),
            refused=refused,
            outcomes=tuple(ending.written),
            unwritten=ending.unwritten,
        )

    def _ending(self, remaining: Callable[[], float]) -> Ending:
        return Ending(
            store=self._store,
            queue=self._queue,
            callback_queue=self._callback_queue,
            outcomes=self._outcomes,
            clock=self._clock,
            timing=self._timing,
            remaining=remaining,
        )

    @property
    def worn_out(self) -> str | None:
        """Why this process should end and another one go on, as a sentence; None: it is well."""
        return self._invoker.worn_out

    def close(self) -> None:
        """Stop what runs handlers in the background."""
        self._invoker.close()

    # -- before the handler -------------------------------------------------------------------------------------------

    def _claim(self, message: TaskMessage, now: int) -> Claim:
        until = transitions.lease_until(message.timeout_seconds, now)
        return Claim(
            message=message,
            now=now,
            lease_id=new_lease_id(),
            lease_until=until,
            due_at=transitions.moved_due(message.due_at, until, self._timing),
        )

    def _begin(self, task: Task, remaining: float) -> Run:
        seconds = max(0.0, min(task.timeout_seconds, remaining - REPORT_RESERVE_SECONDS))
        deadline = time.monotonic() + seconds
        context = TaskContext(
            task=task, deadline=deadline, blobs=self._blobs, downloader=self._downloader, mailer=self._mailer
        )
        try:
            task_type = self._registry.find(task.type)
            future = self._start(task, task_type, context)
        except (TasklaneError, RuntimeError) as exc:  # RuntimeError: no thread can be started any more
            task_type = TaskType(name=task.type)
            future = Future()
            future.set_exception(exc)
        return Run(task=task, task_type=task_type, context=context, future=future, seconds=seconds, deadline=deadline)

    def _start(self, task: Task, task_type: TaskType, context: TaskContext) -> "Future[Any]":
        handler = task_type.handler
        if handler is None:
            raise HandlerStopped(f"task type {task.type!r} has no handler here")

        def arguments() -> tuple[Any, ...]:
            payload = task_type.parse_payload(patiently(lambda: document.read_text(task.payload, self._blobs)))
            return (payload, context) if task_type.wants_context else (payload,)

        async def run_async() -> Any:
            # A large payload is fetched over the network: in a thread, so that the rest of the batch goes on.
            inline = task.payload.blob_key is None
            return await handler(*(arguments() if inline else await asyncio.to_thread(arguments)))

        def run_plain() -> Any:
            return handler(*arguments())

        return self._invoker.start(run_async if task_type.is_async else run_plain, is_async=task_type.is_async)
