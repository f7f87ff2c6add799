"""Highest lane first, and nothing lost when a batch fails."""

import threading
from collections.abc import Callable, Sequence

import pytest

from tests.support.waiting import wait_for
from tests.unit.poller.conftest import PATIENCE, Running, Source
from worker.poller import LANES, RELEASE_SECONDS


def test_what_was_handled_is_acknowledged(source: Source, running: Running) -> None:
    seen: list[str] = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        assert 800 < remaining() <= 900
        seen.extend(bodies)
        return frozenset()

    for n in range(25):
        source.send(3, f"body-{n}", 0)
    running(handle)

    wait_for(lambda: len(seen) == 25 and source.in_flight() == 0)
    assert sorted(seen) == sorted(f"body-{n}" for n in range(25))


def test_the_highest_lane_that_has_anything_comes_first(source: Source, running: Running) -> None:
    order: list[str] = []
    first_begun, go = threading.Event(), threading.Event()

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        first_begun.set()
        assert go.wait(PATIENCE)
        order.extend(bodies)
        return frozenset()

    source.send(1, "first", 0)
    running(handle)
    assert first_begun.wait(PATIENCE)
    for lane in LANES[::-1]:
        source.send(lane, f"lane {lane}", 0)
    wait_for(lambda: source.in_flight() == 5)  # the only runner is busy; each lane that was empty holds a batch
    go.set()

    wait_for(lambda: len(order) == 6)
    assert order == ["first", "lane 5", "lane 4", "lane 3", "lane 2", "lane 1"]


def test_what_no_runner_can_run_yet_stays_in_its_queue(source: Source, running: Running) -> None:
    begun, go = threading.Event(), threading.Event()

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        begun.set()
        assert go.wait(PATIENCE)
        return frozenset()

    for n in range(30):
        source.send(3, f"body-{n}", 0)
    running(handle)
    assert begun.wait(PATIENCE)
    source.send(4, "another lane", 0)
    wait_for(lambda: source.depth(4) == 0)  # that lane was empty: its message is held
    held = source.in_flight()
    go.set()

    assert held == 11, "ten that run and one that is held"
    wait_for(lambda: source.depth(3) == 0 and source.in_flight() == 0)


def test_several_runners_run_side_by_side(source: Source, running: Running) -> None:
    together = threading.Barrier(3)
    met = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        met.append(together.wait(PATIENCE))
        return frozenset()

    for lane in (1, 2, 3):
        source.send(lane, "body", 0)
    running(handle, runners=3)

    wait_for(lambda: len(met) == 3)


def test_what_was_not_handled_is_received_again_after_a_pause(source: Source, running: Running) -> None:
    seen: list[Sequence[str]] = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        seen.append(bodies)
        return frozenset({1}) if len(seen) == 1 else frozenset()

    for body in ("a", "b", "c"):
        source.send(2, body, 0)
    running(handle)

    wait_for(lambda: source.depth(2) == 1)
    source.clock.advance(RELEASE_SECONDS - 1)
    assert len(seen) == 1
    source.clock.advance(1)
    wait_for(lambda: len(seen) == 2)
    assert list(seen[1]) == ["b"]


def test_a_batch_that_failed_as_a_whole_is_received_again(source: Source, running: Running) -> None:
    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        raise RuntimeError("a fault of our own")

    source.send(2, "a", 0)
    source.send(2, "b", 0)
    running(handle)

    wait_for(lambda: source.depth(2) == 2)
    assert source.in_flight() == 0


@pytest.mark.parametrize("call", ["acknowledge", "release"])
def test_a_queue_that_refuses_does_not_stop_the_poller(source: Source, running: Running, call: str) -> None:
    seen: list[str] = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        seen.extend(bodies)
        return frozenset({0}) if call == "release" and len(seen) == 1 else frozenset()

    source.refusals[call] = 1
    source.send(2, "a", 0)
    running(handle)
    wait_for(lambda: source.refused[call])

    source.send(2, "b", 0)
    wait_for(lambda: seen == ["a", "b"])


def test_a_lane_that_does_not_answer_is_asked_again_after_a_while(
    source: Source, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.poller.OUTAGE_PAUSE_SECONDS", 0.01)
    seen: list[str] = []

    def handle(bodies: Sequence[str], remaining: Callable[[], float], beat: Callable[[], None]) -> frozenset[int]:
        seen.extend(bodies)
        return frozenset()

    source.refusals["receive"] = 12
    source.send(4, "a", 0)
    running(handle)

    wait_for(lambda: seen == ["a"])
    assert source.refused["receive"] > 1
