"""The queues of the stateful test: in memory, and those of the engine with a picture of what must be in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, Protocol, TypeVar

from tasklane.adapters.memory import MemoryCallbackQueue, MemoryQueues, MemoryTaskQueue
from tasklane.adapters.memory.queues import VISIBILITY_SECONDS
from tasklane.adapters.sqs import CALLBACKS, ENTRIES, SqsCallbackQueue, SqsMessageSource, SqsTaskQueue
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import CallbackQueue, Clock, Delivery, TaskQueue
from tests.faults.clock import StillClock
from tests.support.engine import Aws, unique

RETENTION_SECONDS: Final = 1_209_600
"""The longest that SQS has: time jumps here, and what is too old is gone."""
_M = TypeVar("_M", bound=TaskMessage | CallbackMessage)
_M_contra = TypeVar("_M_contra", bound=TaskMessage | CallbackMessage, contravariant=True)


class Queues(MemoryQueues):
    """Lanes and callback queue in memory."""

    def lanes(self, clock: Clock) -> TaskQueue:
        """The sender's side of the lanes, as a process with this clock has it."""
        return MemoryTaskQueue(self, clock)

    def callbacks(self, clock: Clock) -> CallbackQueue:
        """The same of the callback queue."""
        return MemoryCallbackQueue(self, clock)

    def time_passes(self) -> None:
        """The world's clock was set."""


class EngineQueues(Queues):
    """Those of the engine, by the SQS adapters. What must be in them is kept in memory, and each receive compared."""

    def __init__(self, clock: Clock, engine_clock: StillClock, aws: Aws) -> None:
        super().__init__(clock)
        self._engine_clock = engine_clock
        self._sqs = aws.sqs
        wanted: Any = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "MessageRetentionPeriod": str(RETENTION_SECONDS)}
        self._urls = {
            lane: aws.sqs.create_queue(QueueName=unique("queue"), Attributes=wanted)["QueueUrl"] for lane in range(6)
        }
        self._source = SqsMessageSource(lambda: aws.sqs, self._urls)
        self._sent_at: dict[str, int] = {}

    def lanes(self, clock: Clock) -> TaskQueue:
        urls = {lane: url for lane, url in self._urls.items() if lane != CALLBACKS}
        return _Seen(SqsTaskQueue(self._sqs, urls, clock), clock, self.expect)

    def callbacks(self, clock: Clock) -> CallbackQueue:
        return _Seen(SqsCallbackQueue(self._sqs, self._urls[CALLBACKS], clock), clock, self.expect)

    def expect(self, lane: int, body: str, delay_seconds: int) -> None:
        """Somebody has sent this."""
        super().send(lane, body, delay_seconds)
        self._sent_at[self._queues[lane].waiting[-1].id] = self._clock.now()

    def send(self, lane: int, body: str, delay_seconds: int) -> None:
        self._sqs.send_message(QueueUrl=self._urls[lane], MessageBody=body, DelaySeconds=delay_seconds)
        self.expect(lane, body, delay_seconds)

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            for handle in [handle for handle, one in queue.in_flight.items() if one.at <= now]:
                queue.waiting.append(queue.in_flight.pop(handle))
            received: list[Delivery] = []
            while more := self._source.receive(lane, limit - len(received), 0):
                received += more
                if len(received) == limit:
                    break
            for one in received:
                expected = next((m for m in queue.waiting if m.body == one.body and m.at <= now), None)
                assert expected is not None, f"nobody sent, or it came too soon, or twice: {one}"
                queue.waiting.remove(expected)
                queue.in_flight[one.handle] = replace(expected, at=self._in(self._visibility_seconds))
            left = [m for m in queue.waiting if m.at <= now]
            assert not left or len(received) == limit, f"not received: {left}"
        return received

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        for some in _by_ten([one for one in handles if one in self._queues[lane].in_flight]):
            self._source.acknowledge(lane, some)
        super().acknowledge(lane, handles)

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        for some in _by_ten([one for one in handles if one in self._queues[lane].in_flight]):
            assert self._source.extend(lane, some) == self._visibility_seconds
        return super().extend(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        for some in _by_ten([one for one in handles if one in self._queues[lane].in_flight]):
            self._source.release(lane, some, delay_seconds)
        super().release(lane, handles, delay_seconds)

    def time_passes(self) -> None:
        now = self._clock.now()
        self._engine_clock.set(now)
        for queue in self._queues.values():
            gone = {one for one, at in self._sent_at.items() if now - at > RETENTION_SECONDS * 1000}
            queue.waiting = [one for one in queue.waiting if one.id not in gone]
            queue.in_flight = {handle: one for handle, one in queue.in_flight.items() if one.id not in gone}


class _Sends(Protocol[_M_contra]):
    def send(self, messages: Sequence[_M_contra]) -> list[Unavailable | None]: ...
    def check(self) -> None: ...


class _Seen(Generic[_M]):
    """A sender whose messages are expected to be received."""

    def __init__(self, queue: _Sends[_M], clock: Clock, expect: Callable[[int, str, int], None]) -> None:
        self._queue = queue
        self._clock = clock
        self._expect = expect

    def send(self, messages: Sequence[_M]) -> list[Unavailable | None]:
        answers = self._queue.send(messages)
        assert answers == [None] * len(messages)
        for message in messages:
            lane = message.priority if isinstance(message, TaskMessage) else CALLBACKS
            self._expect(lane, message.to_json(), message.delay_seconds(self._clock.now()))
        return answers

    def check(self) -> None:
        self._queue.check()


def _by_ten(handles: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as one request takes: whoever receives with the adapter has no more at once."""
    for start in range(0, len(handles), ENTRIES):
        yield handles[start : start + ENTRIES]
