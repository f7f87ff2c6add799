"""What the tests of the poller share: queues whose calls may be refused, and a poller that runs."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from tasklane.adapters.memory import ManualClock, MemoryQueues
from tasklane.errors import Unavailable
from tasklane.ports import Delivery
from tests.support.builders import NOW
from worker.poller import LANES, BatchHandler, Poller

PATIENCE = 10.0


class Source(MemoryQueues):
    """Queues in memory whose calls may be refused; a receive of nothing takes a moment, as a long poll does."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        super().__init__(self.clock)
        self.refusals: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._moment = threading.Event()

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        self._maybe_refuse("receive")
        if not (received := super().receive(lane, limit, wait_seconds)):
            self._moment.wait(0.005)
        return received

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        self._maybe_refuse("acknowledge")
        super().acknowledge(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        self._maybe_refuse("release")
        super().release(lane, handles, delay_seconds)

    def in_flight(self) -> int:
        return sum(len(queue.in_flight) for queue in self._queues.values())

    def _maybe_refuse(self, call: str) -> None:
        if self.refusals[call] > 0:
            self.refusals[call] -= 1
            self.refused[call] += 1
            raise Unavailable("throttled")


Running = Callable[..., Poller]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def running(source: Source) -> Iterator[Running]:
    """Starts a poller with this handler on every lane; it is stopped at the end."""
    started: list[Poller] = []

    def start(handler: BatchHandler, runners: int = 1) -> Poller:
        poller = Poller(source, dict.fromkeys(LANES, handler), runners=runners, wait_seconds=0)
        started.append(poller)
        poller.start()
        return poller

    yield start
    for poller in started:
        poller.stop()
