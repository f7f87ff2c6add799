"""The worker without Lambda: long-polls the lanes and runs the same use case. For containers, and for ``breakpoint()``.

One thread a lane receives, and holds at most one batch; runners take the batch of the highest lane there is. So a batch
of lane 5 never waits for one of lane 1 that has not begun.
"""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tasklane.batch import run_batch
from tasklane.bootstrap import Services
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Delivery, MessageSource

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
"""How long outcomes that cannot be written are tried after the word to stop."""
RELEASE_SECONDS: Final = 30
"""After how long a message that could not be handled is received again."""

BatchHandler = Callable[[Sequence[str], Callable[[], float]], frozenset[int]]
"""Runs message bodies in the given time; answers the positions of those to receive again."""


@dataclass(order=True)
class _Batch:
    rank: int
    lane: int = field(compare=False)
    deliveries: list[Delivery] = field(compare=False)
    taken: threading.Event = field(compare=False, default_factory=threading.Event)


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
        self._ready: queue.PriorityQueue[_Batch] = queue.PriorityQueue()
        self._worn_out = worn_out
        self._is_worn_out = False
        self._stopping = threading.Event()
        self._stop_by = math.inf
        self._threads = [
            *(threading.Thread(target=self._receive, args=(lane,), name=f"lane-{lane}") for lane in handlers),
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

    def stop(self) -> None:
        """Receive no more, end the batches that run, hand back those that do not, and return when all that is done."""
        self._stop_by = time.monotonic() + STOP_SECONDS
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        while not self._ready.empty():
            batch = self._ready.get_nowait()
            self._hand_back(batch.lane, batch.deliveries, delay_seconds=0)

    def _receive(self, lane: int) -> None:
        while not self._stopping.is_set():
            try:
                deliveries = self._source.receive(lane, BATCH, self._wait_seconds)
            except Unavailable as exc:
                logger.warning(
                    "A lane does not answer.", extra={"action": "receive_failed", "lane": lane, "error": str(exc)}
                )
                self._stopping.wait(OUTAGE_PAUSE_SECONDS)
                continue
            except Exception:
                # Without its thread a lane would be read by nobody, in a process that looks healthy.
                logger.exception("A lane could not be received from.", extra={"action": "receive_failed", "lane": lane})
                self._stopping.wait(OUTAGE_PAUSE_SECONDS)
                continue
            if deliveries:
                batch = _Batch(rank=-lane, lane=lane, deliveries=deliveries)
                self._ready.put(batch)
                while not batch.taken.wait(0.2) and not self._stopping.is_set():
                    pass

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                batch = self._ready.get(timeout=0.2)
            except queue.Empty:
                continue
            batch.taken.set()
            self._handle(batch)

    def _handle(self, batch: _Batch) -> None:
        until = time.monotonic() + BATCH_SECONDS
        bodies = [delivery.body for delivery in batch.deliveries]
        try:
            unhandled = self._handlers[batch.lane](bodies, lambda: min(until, self._stop_by) - time.monotonic())
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
            self._stopping.set()

    def _hand_back(self, lane: int, deliveries: Sequence[Delivery], delay_seconds: int) -> None:
        if not deliveries:
            return
        try:
            self._source.release(lane, [delivery.handle for delivery in deliveries], delay_seconds)
        except Unavailable as exc:
            extra = {"action": "release_failed", "lane": lane, "error": str(exc)}
            logger.warning("Messages could not be handed back; they come when their time is up.", extra=extra)


def make_poller(services: Services, *, callbacks: bool = False, runners: int = 1, wait_seconds: int = 20) -> Poller:
    """A poller of the five lanes and, where wanted, of the callback queue."""

    def work(bodies: Sequence[str], remaining: Callable[[], float]) -> frozenset[int]:
        return run_batch(bodies, TaskMessage, services.execute, remaining)[0]

    def deliver(bodies: Sequence[str], remaining: Callable[[], float]) -> frozenset[int]:
        return run_batch(bodies, CallbackMessage, services.deliver_callbacks, remaining)[0]

    handlers: dict[int, BatchHandler] = dict.fromkeys(LANES, work)
    if callbacks:
        handlers[CALLBACKS] = deliver
    return Poller(
        services.source,
        handlers,
        runners=runners,
        wait_seconds=wait_seconds,
        worn_out=lambda: services.execute.worn_out,
    )
