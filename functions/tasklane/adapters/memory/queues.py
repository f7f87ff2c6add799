"""Lanes, callback queue and their dead-letter queues in memory."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Clock, Delivery, Depth

VISIBILITY_SECONDS: Final = 5400
"""As deployed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Message:
    at: int
    """From when on it may be received."""
    id: str
    body: str


class _Queue:
    """Messages of one queue: those that nobody has, and by their receipt handles those that somebody has."""

    def __init__(self) -> None:
        self.waiting: list[_Message] = []
        self.in_flight: dict[str, _Message] = {}


class MemoryQueues:
    """The five lanes and the callback queue (number 0), with delays; also their message source.

    What was received and not acknowledged comes again after ``visibility_seconds``, with another handle.
    """

    def __init__(self, clock: Clock, visibility_seconds: int = VISIBILITY_SECONDS) -> None:
        self._clock = clock
        self._visibility_seconds = visibility_seconds
        self._queues = {number: _Queue() for number in range(6)}
        self._lock = threading.Lock()
        self._handles = itertools.count(1)

    def send(self, lane: int, body: str, delay_seconds: int) -> None:
        """Put one message into a queue."""
        with self._lock:
            message = _Message(at=self._in(delay_seconds), id=f"message-{next(self._handles)}", body=body)
            self._queues[lane].waiting.append(message)

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """See MessageSource. Does not wait: time stands still in here until somebody moves it."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            for handle in [handle for handle, one in queue.in_flight.items() if one.at <= now]:
                queue.waiting.append(queue.in_flight.pop(handle))
            ready = [one for one in queue.waiting if one.at <= now][:limit]
            taken = {id(one) for one in ready}
            queue.waiting = [one for one in queue.waiting if id(one) not in taken]
            received = {f"receipt-{next(self._handles)}": one for one in ready}
            hidden_until = self._in(self._visibility_seconds)
            queue.in_flight |= {handle: replace(one, at=hidden_until) for handle, one in received.items()}
        return [Delivery(handle=handle, body=one.body, message_id=one.id) for handle, one in received.items()]

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        with self._lock:
            for handle in handles:
                self._queues[lane].in_flight.pop(handle, None)

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        """See MessageSource."""
        with self._lock:
            in_flight, until = self._queues[lane].in_flight, self._in(self._visibility_seconds)
            in_flight |= {handle: replace(in_flight[handle], at=until) for handle in handles if handle in in_flight}
        return self._visibility_seconds

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        with self._lock:
            queue, at = self._queues[lane], self._in(delay_seconds)
            for handle in handles:
                if handle in queue.in_flight:
                    queue.waiting.append(replace(queue.in_flight.pop(handle), at=at))

    def depth(self, lane: int) -> int:
        """How many messages wait in a queue, delayed ones too."""
        with self._lock:
            return len(self._queues[lane].waiting)

    def counts(self, lane: int) -> tuple[int, int, int]:
        """How many messages of a queue may be received, are for later, and are in somebody's hands."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            later = sum(one.at > now for one in queue.waiting)
            return len(queue.waiting) - later, later, len(queue.in_flight)

    def _in(self, seconds: int) -> int:
        return self._clock.now() + seconds * 1000


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
