"""Use case: run a batch of tasks. One request claims them all; outcomes are written as they come, several at a time."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasklane.announce import Announcer
from tasklane.chain import Chain
from tasklane.claims import Claimed, Claims
from tasklane.ending import Ending, Outcome
from tasklane.gate import Gate
from tasklane.invoke import Invoker
from tasklane.look_after import LookAfterExternal
from tasklane.message import TaskMessage
from tasklane.outcome import Outcomes
from tasklane.ports import (
    BlobStore,
    CallbackQueue,
    Clock,
    ControlStore,
    Downloader,
    Mailer,
    TaskQueue,
    TaskStore,
)
from tasklane.registry import Registry
from tasklane.retry import Random
from tasklane.run import Run
from tasklane.starter import REPORT_RESERVE_SECONDS, Starter
from tasklane.task import CallbackEvent
from tasklane.task_types import TaskTypes
from tasklane.timing import Timing
from tasklane.watch import Watch

logger = logging.getLogger(__name__)

Beat = Callable[[], None]


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
        types: TaskTypes,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._clock = clock
        self._timing = timing
        self._invoker = Invoker()
        self._announcer = Announcer(callback_queue=callback_queue, clock=clock)
        self._claims = Claims(
            store=store, queue=queue, callback_queue=callback_queue, control=control, clock=clock, timing=timing
        )
        self._starter = Starter(
            registry=registry, invoker=self._invoker, blobs=blobs, downloader=downloader, mailer=mailer
        )
        self._watch = Watch(store=store, invoker=self._invoker, announcer=self._announcer, clock=clock, timing=timing)
        self._look_after_external = LookAfterExternal(
            store=store,
            queue=queue,
            callback_queue=callback_queue,
            gate=Gate(control=control, clock=clock),
            types=types,
            clock=clock,
            timing=timing,
            random=random,
        )
        self._outcomes = Outcomes(blobs=blobs, clock=clock, timing=timing, random=random)

    def __call__(
        self, messages: Sequence[TaskMessage], remaining: Callable[[], float], beat: Beat = lambda: None
    ) -> BatchReport:
        """Run the tasks that ``messages`` announce; ``remaining`` tells the seconds this process still has.

        ``beat`` is called again and again, about once a second, while any of them runs: who gave the messages may keep
        them from others meanwhile.

        A task whose last worker was lost may have brought it down: it runs alone, when the outcomes of all others are
        written and the rest not yet claimed, so that it cannot use up the attempts of its neighbours. One that needs
        most of the time there is goes first, and the others are sent again: on a busy lane its turn would never come.

        Never raises for one task's sake. A refused claim is a doubled message and counts as handled.
        """
        external = [i for i, message in enumerate(messages) if message.external]
        again = self._look_after_external([messages[i] for i in external]) if external else frozenset()
        report = BatchReport(unhandled=frozenset(i for i in external if messages[i] in again))
        return report + self._run_all(messages, [i for i in range(len(messages)) if i not in external], remaining, beat)

    def _run_all(
        self, messages: Sequence[TaskMessage], positions: Sequence[int], remaining: Callable[[], float], beat: Beat
    ) -> BatchReport:
        lost = [i for i in positions if messages[i].lost]
        long = next((i for i in lost if messages[i].timeout_seconds > remaining() / 2), None)
        if long is not None:
            others = [i for i in positions if i != long]
            return self._send_again(messages, others) + self._run(messages, [long], remaining, beat)
        report = self._run(messages, [i for i in positions if i not in lost], remaining, beat)
        for i in lost:
            if report.ran and remaining() < messages[i].timeout_seconds + REPORT_RESERVE_SECONDS:
                report += self._send_again(messages, [i])  # it would be cut short here; another process has the time
            else:
                report += self._run(messages, [i], remaining, beat)
        return report

    def _send_again(self, messages: Sequence[TaskMessage], positions: Sequence[int]) -> BatchReport:
        answers = self._queue.send([messages[i] for i in positions]) if positions else []
        return BatchReport(unhandled=frozenset(i for i, a in zip(positions, answers, strict=True) if a is not None))

    def _run(
        self, messages: Sequence[TaskMessage], positions: Sequence[int], remaining: Callable[[], float], beat: Beat
    ) -> BatchReport:
        ending = self._ending(remaining)
        chain = Chain(
            claims=self._claims, ending=ending, begin=lambda some: self._begin(some, remaining), remaining=remaining
        )
        # First those who wait: a newcomer of the same batch is not to take the slot that they are told of.
        runs = chain.at_free_slots([messages[i] for i in positions if messages[i].free_slot is not None])
        claimings = self._claims.of([messages[i] for i in positions if messages[i].free_slot is None])
        # Unhandled messages come again only when their visibility ends: long after those others are through.
        again = self._send_again(messages, [i for i in positions if messages[i] in claimings.contended])
        unhandled = claimings.unhandled - claimings.contended
        runs += self._begin(claimings.claimed, remaining)
        runs += chain.after_joining(claimings.waited_for)
        self._watch.until_all_end(runs, ending, chain.next_runs, beat)
        self._announcer.settle()
        return again + BatchReport(
            unhandled=frozenset(messages.index(message) for message in unhandled),
            refused=claimings.refused,
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

    def _begin(self, claimed: Sequence[Claimed], remaining: Callable[[], float]) -> list[Run]:
        now = self._clock.now()
        runs = [self._starter.begin(one.task, remaining, max(0, (one.at or now) - now) / 1000) for one in claimed]
        self._announcer.announce(CallbackEvent.RUNNING, [one.task for one in claimed])
        return runs

    @property
    def worn_out(self) -> str | None:
        """Why this process should end and another one go on, as a sentence; None: it is well."""
        return self._invoker.worn_out

    def close(self) -> None:
        """Stop what runs handlers in the background."""
        self._invoker.close()
