"""The worker without Lambda: highest lane first, nothing lost when a batch fails or the process stops."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from tasklane.adapters.memory import ManualClock, MemoryQueues, MemoryTaskQueue
from tasklane.errors import Unavailable
from tasklane.ports import Delivery
from tasklane.registry import Registry
from tasklane.task import CallbackState, Status
from tests.support.builders import NOW, a_message
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Anything
from tests.support.waiting import wait_for
from worker.poller import LANES, RELEASE_SECONDS, STOP_SECONDS, BatchHandler, Poller, make_poller

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


def test_the_poller_of_an_installation_works_tasks_and_callbacks(home: Installation, registry: Registry) -> None:
    @registry.task("echo")
    def echo(payload: Anything) -> None: ...

    tasks = [home.submit("echo", priority=lane, callback_url="https://hooks.example.com/") for lane in LANES]
    poller = make_poller(home.services, callbacks=True, runners=2, wait_seconds=0)
    poller.start()

    try:
        wait_for(lambda: len(home.http.posted) == 5)
        wait_for(lambda: all(t.callback.state is CallbackState.DELIVERED for t in map(home.task, tasks) if t.callback))
    finally:
        poller.stop()
    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}


def test_batches_are_counted(home: Installation, registry: Registry) -> None:
    @registry.task("nothing")
    def nothing(payload: Anything) -> None: ...

    home.submit("nothing", callback_url="https://hooks.example.com/")
    tasks: list[tuple[frozenset[int], int]] = []
    callbacks: list[tuple[frozenset[int], int]] = []
    poller = make_poller(
        home.services,
        callbacks=True,
        wait_seconds=0,
        count_tasks=lambda unhandled, report: tasks.append((unhandled, len(report.outcomes))),
        count_callbacks=lambda unhandled, report: callbacks.append((unhandled, report.delivered)),
    )
    poller.start()
    try:
        wait_for(lambda: tasks and callbacks)
    finally:
        poller.stop()
    assert (tasks, callbacks) == ([(frozenset(), 1)], [(frozenset(), 1)])


def test_lanes_are_left_alone_where_only_callbacks_were_asked_for(home: Installation) -> None:
    poller = make_poller(home.services, lanes=False, callbacks=True)

    assert set(poller._handlers) == {CALLBACKS}


def test_callbacks_are_left_alone_where_nobody_asked_for_them(home: Installation) -> None:
    poller = make_poller(home.services)

    assert CALLBACKS not in poller._handlers
