"""The worker without Lambda: polls the lanes and runs the same use case. For containers, and for ``breakpoint()``.

A runner that is free asks the lanes for one batch, the highest first: what nobody can run yet stays in its queue, where
higher lanes overtake it and a fair queue lets quiet tenants pass. A lane that was empty is long-polled meanwhile, so
that nothing waits for a runner that is free; what comes that way while all are busy is held, at most one batch a lane.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tasklane.batch import run_batch
from tasklane.bootstrap import Services
from tasklane.callback import CallbackReport
from tasklane.errors import Unavailable
from tasklane.execute import BatchReport
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Delivery, MessageSource
from tasklane.visibility import Visibility
from worker.pulse import Pulse

logger = logging.getLogger("tasklane.poller")

LANES: Final = (5, 4, 3, 2, 1)
CALLBACKS: Final = 0
"""The callback queue's number among the lanes: taken when no lane has anything."""
BATCH: Final = 10
BATCH_SECONDS: Final = 900.0
"""How long one batch may take; as long as a Lambda has."""
OUTAGE_PAUSE_SECONDS: Final = 2.0
"""How long a lane that does not answer is left alone."""
STOP_SECONDS: Final = 10.0
"""How long a process that is told to stop has for it, where nobody says otherwise."""
RELEASE_SECONDS: Final = 30
"""After how long a message that could not be handled is received again."""
REQUEST_SECONDS: Final = 300.0
"""No request to a queue takes so long, with all its repetitions."""

BatchHandler = Callable[[Sequence[str], Callable[[], float], Callable[[], None]], frozenset[int]]
"""Runs message bodies in the given time; answers the positions of those to receive again.

The last argument is to be called again and again while that takes long: it keeps the messages from others.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    lane: int
    deliveries: list[Delivery]


class Poller:
    """Receives from lanes and runs what comes, until stopped."""

    def __init__(
        self,
        source: MessageSource,
        handlers: dict[int, BatchHandler],
        *,
        runners: int = 1,
        wait_seconds: int = 20,
        worn_out: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``handlers`` are named by lane number, and ``runners`` batches run side by side.

        ``wait_seconds`` is how long one receive waits, and so how long ``stop`` takes at most when nothing runs.
        ``worn_out`` says why this process should end; then no batch is begun any more, and ``wait`` returns.
        """
        self._source = source
        self._handlers = handlers
        self._wait_seconds = wait_seconds
        self._worn_out = worn_out
        self._is_worn_out = False
        self._held: dict[int, list[Delivery]] = {}
        self._listened: set[int] = set()
        self._pulse = Pulse()
        self._answered: dict[int, bool] = {}
        self._news = threading.Condition()
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._stop_by = math.inf
        self._threads = [
            *(threading.Thread(target=self._listen, args=(lane,), name=f"lane-{lane}") for lane in handlers),
            *(threading.Thread(target=self._run, name=f"runner-{i}") for i in range(runners)),
        ]

    def start(self) -> None:
        """Begin to receive and run, in the background."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> bool:
        """Return when ``stop`` was called, or with True when this process is worn out: then ``stop``, and end it."""
        self._stopping.wait()
        return self._is_worn_out

    def stop(self, within: float = STOP_SECONDS) -> None:
        """Receive no more, end the batches that run, hand back those that do not, and return when all that is done.

        ``within`` is how many seconds this process still has, as far as what runs can be hurried: handlers see it in
        ``context.remaining``, and outcomes that cannot be written are tried for so long.
        """
        self._stop_by = time.monotonic() + within
        self._receive_no_more()
        for thread in self._threads:
            thread.join()
        for lane, deliveries in self._held.items():
            self._hand_back(lane, deliveries, delay_seconds=0)

    def stuck(self) -> list[str]:
        """The names of the threads that this process cannot go on without and that have died, or do not come back."""
        dead = (
            [] if self._stopping.is_set() else [one.name for one in self._threads if one.ident and not one.is_alive()]
        )
        return [*dead, *self._pulse.stuck()]

    def silent(self) -> list[int]:
        """The lanes that did not answer when they were last asked; all of them until one has answered.

        A lower lane may go unasked for as long as a higher one has work.
        """
        answered = dict(self._answered)
        known = any(answered.values())
        return sorted(lane for lane in self._handlers if not answered.get(lane, known))

    def _receive_no_more(self) -> None:
        self._stopping.set()
        with self._news:
            self._news.notify_all()

    # -- receiving ----------------------------------------------------------------------------------------------------

    def _next(self) -> _Batch | None:
        """The first batch of the highest lane that has one, as soon as there is any; None: there is to be no more."""
        with self._turn:  # one runner at a time: the others would each take a batch of a lower lane
            while not self._stopping.is_set():
                for lane in sorted(self._handlers, reverse=True):
                    if deliveries := self._take(lane):
                        return _Batch(lane=lane, deliveries=deliveries)
                with self._news:
                    self._news.wait_for(lambda: self._held or self._stopping.is_set())
            return None

    def _take(self, lane: int) -> list[Delivery]:
        with self._news:
            if lane in self._held:
                self._listened.discard(lane)
                return self._held.pop(lane)
            if lane in self._listened:
                return []  # it was empty, and its long poll has not found anything since
        deliveries = self._receive(lane, 0)
        if not deliveries:
            with self._news:
                self._listened.add(lane)
                self._news.notify_all()
        return deliveries or []

    def _listen(self, lane: int) -> None:
        """Long-poll the lane whenever it was found empty, until there is something."""
        while not self._stopping.is_set():
            with self._news:
                self._news.wait_for(lambda: self._is_wanted(lane) or self._stopping.is_set())
            if self._stopping.is_set():
                return
            deliveries = self._receive(lane, self._wait_seconds)
            if deliveries is None:
                self._stopping.wait(OUTAGE_PAUSE_SECONDS)
            elif deliveries:
                with self._news:
                    self._held[lane] = deliveries
                    self._news.notify_all()

    def _is_wanted(self, lane: int) -> bool:
        return lane in self._listened and lane not in self._held

    def _receive(self, lane: int, wait_seconds: int) -> list[Delivery] | None:
        """What there is; None where the lane does not answer."""
        try:
            with self._pulse.busy(REQUEST_SECONDS):
                deliveries = self._source.receive(lane, BATCH, wait_seconds)
        except Unavailable as exc:
            extra = {"action": "receive_failed", "lane": lane, "error": str(exc)}
            logger.warning("A lane does not answer.", extra=extra)
        except Exception:
            # Without its thread a lane would be read by nobody, in a process that looks healthy.
            logger.exception("A lane could not be received from.", extra={"action": "receive_failed", "lane": lane})
        else:
            self._answered[lane] = True
            return deliveries
        self._answered[lane] = False
        return None

    # -- running ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            if self._stopping.is_set():
                self._hand_back(batch.lane, batch.deliveries, delay_seconds=0)
            else:
                with self._pulse.busy(BATCH_SECONDS + REQUEST_SECONDS):
                    self._handle(batch)

    def _handle(self, batch: _Batch) -> None:
        until = time.monotonic() + BATCH_SECONDS
        bodies = [delivery.body for delivery in batch.deliveries]
        try:
            with Visibility(self._source, batch.lane, [delivery.handle for delivery in batch.deliveries]) as visibility:
                unhandled = self._handlers[batch.lane](
                    bodies, lambda: min(until, self._stop_by) - time.monotonic(), visibility.extend
                )
        except Exception:
            logger.exception("A batch failed as a whole.", extra={"action": "batch_failed", "lane": batch.lane})
            unhandled = frozenset(range(len(bodies)))
        done = [d.handle for i, d in enumerate(batch.deliveries) if i not in unhandled]
        if done:
            try:
                self._source.acknowledge(batch.lane, done)
            except Unavailable as exc:
                # They come again, and their claims are refused.
                extra = {"action": "acknowledge_failed", "lane": batch.lane, "error": str(exc)}
                logger.warning("Messages could not be acknowledged.", extra=extra)
        self._hand_back(batch.lane, [d for i, d in enumerate(batch.deliveries) if i in unhandled], RELEASE_SECONDS)
        if not self._stopping.is_set() and (reason := self._worn_out()):
            logger.error("This worker takes no more work: %s", reason, extra={"action": "worker_worn_out"})
            self._is_worn_out = True
            self._receive_no_more()

    def _hand_back(self, lane: int, deliveries: Sequence[Delivery], delay_seconds: int) -> None:
        if not deliveries:
            return
        try:
            self._source.release(lane, [delivery.handle for delivery in deliveries], delay_seconds)
        except Unavailable as exc:
            extra = {"action": "release_failed", "lane": lane, "error": str(exc)}
            logger.warning("Messages could not be handed back; they come when their time is up.", extra=extra)


def make_poller(
    services: Services,
    *,
    lanes: bool = True,
    callbacks: bool = False,
    runners: int = 1,
    wait_seconds: int = 20,
    count_tasks: Callable[[frozenset[int], BatchReport], None] = lambda *_: None,
    count_callbacks: Callable[[frozenset[int], CallbackReport], None] = lambda *_: None,
) -> Poller:
    """A poller of the five lanes, of the callback queue, or of both.

    ``count_tasks`` and ``count_callbacks`` are told of each batch: which messages come again, and the report.
    """

    def work(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        unhandled, report = run_batch(bodies, TaskMessage, partial(services.execute, beat=beat), remaining)
        count_tasks(unhandled, report)
        return unhandled

    def deliver(bodies: Sequence[str], remaining: Callable[[], float], _beat: Callable[[], None]) -> frozenset[int]:
        unhandled, report = run_batch(bodies, CallbackMessage, services.deliver_callbacks, remaining)
        count_callbacks(unhandled, report)
        return unhandled

    handlers: dict[int, BatchHandler] = dict.fromkeys(LANES, work) if lanes else {}
    if callbacks:
        handlers[CALLBACKS] = deliver
    return Poller(
        services.source,
        handlers,
        runners=runners,
        wait_seconds=wait_seconds,
        worn_out=(lambda: services.execute.worn_out) if lanes else (lambda: None),
    )
