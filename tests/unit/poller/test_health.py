"""What a poller says of itself: which lanes are silent, and what is stuck."""

import threading
from collections.abc import Callable, Sequence

import pytest

from tasklane.ports import Delivery
from tests.support.waiting import wait_for
from tests.unit.poller.conftest import PATIENCE, Running, Source
from worker.poller import LANES, Poller


def test_a_lane_that_has_not_answered_is_silent_until_it_does(
    source: Source, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.poller.OUTAGE_PAUSE_SECONDS", 0.01)
    source.refusals["receive"] = 40
    poller = running(lambda bodies, remaining, beat: frozenset())

    wait_for(lambda: source.refused["receive"] > 10)
    assert poller.silent()
    wait_for(lambda: not poller.silent())
    assert not poller.stuck(), "an outage is no reason to replace who asks"


def test_a_lane_that_is_not_asked_while_a_higher_one_has_work_is_not_silent(source: Source, running: Running) -> None:
    begun, go = threading.Event(), threading.Event()

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        begun.set()
        assert go.wait(PATIENCE)
        return frozenset()

    source.send(5, "body", 0)
    poller = running(handle)
    assert begun.wait(PATIENCE)

    assert not poller.silent()
    go.set()


def test_a_batch_that_does_not_come_back_is_stuck(
    source: Source, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.poller.BATCH_SECONDS", 0.05)
    monkeypatch.setattr("worker.poller.REQUEST_SECONDS", 1.0)
    go = threading.Event()

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        assert go.wait(PATIENCE)
        return frozenset()

    poller = running(handle)
    wait_for(lambda: not poller.silent())
    assert not poller.stuck()
    source.send(3, "body", 0)

    wait_for(lambda: poller.stuck() == ["runner-0"])
    go.set()
    wait_for(lambda: not poller.stuck())


def test_a_receive_that_does_not_come_back_is_stuck(
    source: Source, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.poller.REQUEST_SECONDS", 0.05)
    go = threading.Event()

    def hang(lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        assert go.wait(PATIENCE)
        return []

    monkeypatch.setattr(source, "receive", hang)
    poller = running(lambda bodies, remaining, beat: frozenset())

    wait_for(lambda: "runner-0" in poller.stuck())
    assert poller.silent() == sorted(LANES)
    go.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_died_is_stuck(source: Source, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(poller: Poller, lane: int) -> None:
        raise MemoryError

    monkeypatch.setattr(Poller, "_listen", die)
    poller = running(lambda bodies, remaining, beat: frozenset())

    wait_for(lambda: set(poller.stuck()) == {f"lane-{lane}" for lane in LANES})
