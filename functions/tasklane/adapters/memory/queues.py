"""Lanes, callback queue and their dead-letter queues in memory."""

import itertools
import threading
from collections.abc import Sequence

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Clock, Delivery, Depth


class _Queue:
    """Messages of one queue: each has the time from which it may be received."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, str, str]] = []
        self.in_flight: dict[str, str] = {}


class MemoryQueues:
    """The five lanes and the callback queue (number 0), with delays; also their message source."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues = {number: _Queue() for number in range(6)}
        self._lock = threading.Lock()
        self._handles = itertools.count(1)

    def send(self, lane: int, body: str, delay_seconds: int) -> None:
        """Put one message into a queue."""
        with self._lock:
            handle = f"memory-{next(self._handles)}"
            self._queues[lane].waiting.append((self._clock.now() + delay_seconds * 1000, handle, body))

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """See MessageSource. Does not wait: time stands still in here until somebody moves it."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            ready = [one for one in queue.waiting if one[0] <= now][:limit]
            queue.waiting = [one for one in queue.waiting if one not in ready]
            queue.in_flight |= {handle: body for _, handle, body in ready}
        return [Delivery(handle=handle, body=body, message_id=handle) for _, handle, body in ready]

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        with self._lock:
            for handle in handles:
                self._queues[lane].in_flight.pop(handle, None)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        with self._lock:
            queue, at = self._queues[lane], self._clock.now() + delay_seconds * 1000
            for handle in handles:
                if handle in queue.in_flight:
                    queue.waiting.append((at, handle, queue.in_flight.pop(handle)))

    def depth(self, lane: int) -> int:
        """How many messages wait in a queue, delayed ones too."""
        with self._lock:
            return len(self._queues[lane].waiting)

    def counts(self, lane: int) -> tuple[int, int, int]:
        """How many messages of a queue may be received, are for later, and are in somebody's hands."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            later = sum(at > now for at, _, _ in queue.waiting)
            return len(queue.waiting) - later, later, len(queue.in_flight)


class MemoryQueueDepths:
    """Counts the messages of queues, and of others that stand for their dead-letter queues."""

    def __init__(self, queues: MemoryQueues, dead_letters: MemoryQueues) -> None:
        self._queues = queues
        self._dead_letters = dead_letters

    def depths(self, lanes: Sequence[int]) -> list[Depth]:
        """See QueueDepths."""
        return [self._depth(lane) for lane in lanes]

    def _depth(self, lane: int) -> Depth:
        waiting, delayed, in_flight = self._queues.counts(lane)
        dead_letters = sum(self._dead_letters.counts(lane))
        return Depth(waiting=waiting, delayed=delayed, in_flight=in_flight, dead_letters=dead_letters)


class MemoryTaskQueue:
    """Lanes in memory."""

    def __init__(self, queues: MemoryQueues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        """See TaskQueue."""
        for message in messages:
            self._queues.send(message.priority, message.to_json(), message.delay_seconds(self._clock.now()))
        return [None] * len(messages)

    def check(self) -> None:
        """See TaskQueue."""


class MemoryCallbackQueue:
    """The callback queue in memory."""

    def __init__(self, queues: MemoryQueues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def send(self, messages: Sequence[CallbackMessage]) -> list[Unavailable | None]:
        """See CallbackQueue."""
        for message in messages:
            self._queues.send(0, message.to_json(), message.delay_seconds(self._clock.now()))
        return [None] * len(messages)

    def check(self) -> None:
        """See CallbackQueue."""
