"""The messages of a batch that takes long are kept from others, now and then, and nobody waits for that."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from tasklane.adapters.memory import ManualClock, MemoryQueues
from tasklane.errors import Unavailable
from tasklane.ports import Delivery
from tasklane.registry import Registry
from tasklane.task import Status
from tasklane.visibility import Visibility
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from worker.poller import Poller, make_poller

HANDLES = ["first", "second"]


class Source(MemoryQueues):
    """Notes what is extended; does what ``act`` does before it answers."""

    def __init__(self, visibility_seconds: int = 5400, act: Callable[[], None] = lambda: None) -> None:
        super().__init__(ManualClock(NOW), visibility_seconds)
        self.extended: list[tuple[int, Sequence[str]]] = []
        self._act = act

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        self.extended.append((lane, handles))
        self._act()
        return super().extend(lane, handles)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first heartbeat comes at once, and the pauses are short."""
    monkeypatch.setattr("tasklane.visibility.HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr("tasklane.visibility.LEAST_SECONDS", 0.0)


def beat(visibility: Visibility, until: Callable[[], object]) -> None:
    """Call as a watching worker does, until there is what is waited for."""

    def beaten() -> object:
        visibility.extend()
        return until()

    wait_for(beaten)


def test_a_batch_that_is_soon_through_costs_no_request() -> None:
    source = Source()

    with Visibility(source, 3, HANDLES) as visibility:
        for _ in range(100):
            visibility.extend()

    assert source.extended == []


@pytest.mark.usefixtures("at_once")
def test_all_messages_of_the_batch_are_extended_together_and_not_again_before_a_third_is_over() -> None:
    source = Source(visibility_seconds=60)

    with Visibility(source, 3, HANDLES) as visibility:
        beat(visibility, lambda: source.extended)
        beat(visibility, lambda: visibility._next < float("inf"))
        for _ in range(100):
            visibility.extend()

    assert source.extended == [(3, HANDLES)]
    assert visibility._next == pytest.approx(time.monotonic() + 20, abs=5)


@pytest.mark.usefixtures("at_once")
def test_they_are_extended_again_when_a_third_is_over() -> None:
    source = Source(visibility_seconds=0)

    with Visibility(source, 3, HANDLES) as visibility:
        beat(visibility, lambda: len(source.extended) > 3)


@pytest.mark.usefixtures("at_once")
def test_a_queue_that_does_not_answer_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise Unavailable("throttled")

    source = Source(act=refuse)

    with caplog.at_level(logging.WARNING), Visibility(source, 3, HANDLES) as visibility:
        beat(visibility, lambda: len(source.extended) > 1)

    assert {record.__dict__["action"] for record in caplog.records} == {"extend_failed"}


@pytest.mark.usefixtures("at_once")
def test_a_slow_queue_holds_nobody_up_and_is_asked_once_at_a_time() -> None:
    answer = threading.Event()

    def slowly() -> None:
        wait_for(answer.is_set)

    source = Source(act=slowly)

    visibility = Visibility(source, 3, HANDLES)
    begun = time.monotonic()
    beat(visibility, lambda: source.extended)
    for _ in range(100):
        visibility.extend()
    took = time.monotonic() - begun
    answer.set()
    visibility.__exit__(None, None, None)

    assert len(source.extended) == 1
    assert took < 5


@pytest.mark.usefixtures("at_once")
def test_the_end_of_a_batch_waits_for_an_extension_that_is_under_way() -> None:
    """Else it would hide what has just been given back."""
    done = threading.Event()

    def slowly() -> None:
        time.sleep(0.2)
        done.set()

    source = Source(act=slowly)
    with Visibility(source, 3, HANDLES) as visibility:
        beat(visibility, lambda: source.extended)

    assert done.is_set()


@pytest.mark.usefixtures("at_once")
def test_where_no_thread_can_be_started_the_batch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    source = Source()
    with Visibility(source, 3, HANDLES) as visibility:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            visibility.extend()
        assert source.extended == []
        beat(visibility, lambda: source.extended)


@pytest.mark.usefixtures("quick", "at_once")
def test_a_message_does_not_come_again_while_its_task_runs(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three quarters of its visibility timeout pass, twice."""
    seconds = 1
    received: list[str] = []
    receive = home.queues.receive

    def noted(lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        deliveries = receive(lane, limit, wait_seconds)
        received.extend(one.message_id for one in deliveries)
        return deliveries

    @registry.task("long")
    def long(payload: Nothing) -> None:
        for _ in range(2):
            home.clock.advance(seconds * 3 / 4)
            wait_for(is_extended)

    def is_extended() -> bool:
        (message,) = home.queues._queues[3].in_flight.values()
        return message.at == home.clock.now() + seconds * 1000

    monkeypatch.setattr(home.queues, "receive", noted)
    monkeypatch.setattr(home.queues, "_visibility_seconds", seconds)
    task = home.submit("long")
    poller: Poller = make_poller(home.services, wait_seconds=0)
    poller.start()
    try:
        wait_for(lambda: home.queues.counts(3) == (0, 0, 0))
    finally:
        poller.stop()

    assert len(received) == 1
    assert home.task(task).status is Status.COMPLETED
