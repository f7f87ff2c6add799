"""A process in which handlers go on after their time says so, and is ended in time."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasklane.errors import Unavailable
from tasklane.invoke import MAX_LEFT_BEHIND, MAX_THREADS, Invoker
from tasklane.registry import Registry
from tasklane.starter import REPORT_RESERVE_SECONDS
from tasklane.task import Status
from tests.support.aws_lambda import sqs_event
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from worker.poller import make_poller
from worker.receipts import Receipts
from worker.wear import end_worn_out

SHORT = REPORT_RESERVE_SECONDS + 0.05
"""An invocation that leaves a handler a twentieth of a second."""


@pytest.fixture
def stuck(registry: Registry) -> Iterator[threading.Event]:
    """A task type whose handler goes on until this is set."""
    over = threading.Event()

    @registry.task("stuck")
    def stuck(payload: Nothing) -> None:
        over.wait(60)

    registry.task("quick")(quick)
    yield over
    over.set()


def quick(payload: Nothing) -> str:
    return "done"


def overrun(home: Installation, count: int) -> None:
    for _ in range(count):
        home.submit("stuck", max_attempts=1)
    home.work(seconds=SHORT)


# -- when it is --------------------------------------------------------------------------------------------------------


def test_a_process_is_well_until_so_many_handlers_go_on(home: Installation, stuck: threading.Event) -> None:
    execute = home.services.execute
    overrun(home, MAX_LEFT_BEHIND - 1)
    assert execute.worn_out is None

    overrun(home, 1)

    assert execute.worn_out == f"{MAX_LEFT_BEHIND} handlers go on after their time."


def test_a_handler_that_ends_late_is_not_counted_any_more(home: Installation, stuck: threading.Event) -> None:
    overrun(home, MAX_LEFT_BEHIND)
    stuck.set()

    wait_for(lambda: home.services.execute.worn_out is None)


def test_handlers_that_run_in_time_are_none_that_were_left_behind(home: Installation, registry: Registry) -> None:
    seen: list[str | None] = []
    together = threading.Barrier(MAX_LEFT_BEHIND + 1)

    @registry.task("look")
    def look(payload: Nothing) -> None:
        together.wait(20)
        seen.append(home.services.execute.worn_out)

    for _ in range(MAX_LEFT_BEHIND + 1):
        home.submit("look")
    home.work()

    assert seen == [None] * (MAX_LEFT_BEHIND + 1)


def test_an_event_loop_that_a_handler_blocks_is_left_behind_too() -> None:
    invoker, over = Invoker(), threading.Event()

    async def block() -> None:
        over.wait(60)

    for _ in range(MAX_LEFT_BEHIND):
        began = threading.Event()
        future = invoker.start(signalled(began, block), is_async=True)
        assert began.wait(20)
        invoker.abandon(future, grace_seconds=0.01)
    try:
        assert invoker.worn_out == f"{MAX_LEFT_BEHIND} handlers go on after their time."
    finally:
        over.set()
        invoker.close()


def signalled(event: threading.Event, function: Callable[[], Any]) -> Callable[[], Any]:
    async def call() -> None:
        event.set()
        await function()

    return call


def test_threads_that_handlers_start_and_leave_count_as_well(home: Installation, registry: Registry) -> None:
    over = threading.Event()

    @registry.task("leak")
    def leak(payload: Nothing) -> None:
        for _ in range(MAX_THREADS):
            threading.Thread(target=over.wait, args=(60,), daemon=True).start()

    home.submit("leak")
    home.work()
    try:
        assert home.store.only().status is Status.COMPLETED
        assert "threads: handlers leave theirs behind" in (home.services.execute.worn_out or "")
    finally:
        over.set()


def test_a_thread_that_cannot_be_started_fails_the_attempt_and_wears_the_process_out(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waiting(payload: Nothing) -> None:
        await asyncio.sleep(0)

    registry.task("quick")(quick)
    registry.task("async")(waiting)
    tasks = [home.submit("quick"), home.submit("async")]

    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        home.work()

    assert {home.task(task).status for task in tasks} == {Status.SCHEDULED}
    assert home.services.execute.worn_out == "No thread could be started any more."


# -- how it ends -------------------------------------------------------------------------------------------------------


LANE_URLS = {lane: f"https://sqs.us-east-1.amazonaws.com/123456789012/lane-{lane}" for lane in range(1, 6)}
REASON = "5 handlers go on after their time."


def received(home: Installation, count: int) -> list[dict[str, Any]]:
    """The records of so many messages of lane 4 as Lambda hands them out."""
    for _ in range(count):
        home.submit("quick", priority=4)
    found = home.queues.receive(4, count, 0)
    event = sqs_event([one.body for one in found], queue="lane-4")
    return [{**record, "receiptHandle": one.handle} for record, one in zip(event["Records"], found, strict=True)]


def in_flight(home: Installation) -> set[str]:
    return set(home.queues._queues[4].in_flight)


def test_at_its_end_what_was_handled_is_acknowledged_and_the_rest_comes_again(
    home: Installation, stuck: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    event, ended = received(home, 3), list[int]()

    end_worn_out(REASON, Receipts.of(event, LANE_URLS).without({1}), home.queues, lambda: ended.append(1))

    assert (in_flight(home), ended) == ({event[1]["receiptHandle"]}, [1])
    (line,) = caplog.records
    assert (line.getMessage(), line.levelname) == (f"This worker ends itself: {REASON}", "ERROR")


@pytest.mark.parametrize("trouble", ["the lane does not answer", "nobody knows the lane"])
def test_it_ends_also_where_nothing_can_be_acknowledged(
    home: Installation, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def refuse(*_: Any) -> None:
        raise Unavailable("throttled")

    event, ended = received(home, 2), list[int]()
    lanes = LANE_URLS if trouble == "the lane does not answer" else {3: LANE_URLS[3]}
    monkeypatch.setattr(home.queues, "acknowledge", refuse)

    end_worn_out(REASON, Receipts.of(event, lanes), home.queues, lambda: ended.append(1))

    assert ended == [1]


def test_a_process_ends_whatever_its_threads_do() -> None:
    code = (
        "import threading; from worker.wear import end_process; "
        "threading.Thread(target=threading.Event().wait).start(); print('said', end=''); end_process()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout) == (1, "said")


# -- the poller --------------------------------------------------------------------------------------------------------


def test_a_worn_out_poller_begins_no_batch_any_more_and_says_so(home: Installation, stuck: threading.Event) -> None:
    for _ in range(MAX_LEFT_BEHIND):
        home.submit("stuck", timeout_seconds=1, max_attempts=1)
    poller = make_poller(home.services, wait_seconds=0)
    poller.start()

    assert poller.wait()

    poller.stop()
    late = home.submit("quick")
    assert home.task(late).status is Status.PENDING
    assert home.queues.depth(3) == 1


def test_a_poller_that_is_stopped_is_not_worn_out(home: Installation) -> None:
    poller = make_poller(home.services, wait_seconds=0)
    poller.start()
    poller.stop()

    assert not poller.wait()
