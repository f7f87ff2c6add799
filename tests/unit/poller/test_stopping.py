"""Nothing is lost when the process stops."""

import threading
from collections.abc import Callable, Sequence

from tasklane.adapters.memory import MemoryTaskQueue
from tests.support.builders import a_message
from tests.support.installation import Installation
from tests.support.waiting import wait_for
from tests.unit.poller.conftest import PATIENCE, Running, Source
from worker.poller import LANES, STOP_SECONDS, Poller


def test_stopping_ends_what_runs_and_hands_back_what_has_not_begun(source: Source, running: Running) -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[str] = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        begun.set()
        assert go.wait(PATIENCE)
        ended.extend(bodies)
        return frozenset()

    poller = running(handle)
    wait_for(lambda: poller._listened == set(LANES))
    source.send(5, "running", 0)
    assert begun.wait(PATIENCE)
    source.send(3, "waiting", 0)
    wait_for(lambda: source.in_flight() == 2)

    stopping = threading.Thread(target=poller.stop)
    stopping.start()
    go.set()
    stopping.join(PATIENCE)

    assert not stopping.is_alive()
    assert ended == ["running"]
    assert (source.depth(5), source.depth(3), source.in_flight()) == (0, 1, 0)
    assert source.receive(3, 10, 0)[0].body == "waiting", "at once, not when its visibility timeout ends"


def test_a_batch_that_waits_to_write_its_outcomes_is_told_that_the_time_is_up(home: Installation) -> None:
    asked: list[float] = []
    begun = threading.Event()

    def patient(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        asked.append(remaining())
        begun.set()
        wait_for(lambda: remaining() <= STOP_SECONDS)
        return frozenset()

    source = Source()
    MemoryTaskQueue(source, source.clock).send([a_message()])
    poller = Poller(source, {3: patient}, wait_seconds=0)
    poller.start()
    try:
        assert begun.wait(PATIENCE)
    finally:
        poller.stop()
    assert asked[0] > 10 * STOP_SECONDS
