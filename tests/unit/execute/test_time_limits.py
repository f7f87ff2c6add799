"""A handler that does not come back in time is left behind, and told so."""

import asyncio
import threading

import pytest

from tasklane.context import TaskContext
from tasklane.errors import RunLost
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.unit.execute.conftest import PATIENCE, SHORT, lambda_of


def test_a_plain_handler_that_overruns_is_timed_out_and_told_so(home: Installation, registry: Registry) -> None:
    go, told = threading.Event(), threading.Event()

    @registry.task("it")
    def slow(payload: Anything, context: TaskContext) -> None:
        assert go.wait(PATIENCE)
        assert context.remaining() == 0
        with pytest.raises(RunLost):
            context.progress(0.5)
        told.set()

    task = home.submit("it")
    home.work(seconds=SHORT)

    waiting = home.task(task)
    assert waiting.status is Status.SCHEDULED
    assert waiting.error is not None
    assert waiting.error.type == "AttemptTimedOut"
    assert "still running after 0.05 seconds" in waiting.error.message
    go.set()
    assert told.wait(PATIENCE)
    assert home.task(task) == waiting, "what comes too late changes nothing"


def test_an_async_handler_that_overruns_is_cancelled(home: Installation, registry: Registry) -> None:
    cleaned_up = threading.Event()

    @registry.task("it", retry=RetryPolicy(max_attempts=1))
    async def slow(payload: Anything) -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            cleaned_up.set()

    task = home.submit("it")
    home.work(seconds=SHORT)

    assert cleaned_up.wait(PATIENCE)
    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.type == "AttemptTimedOut"


def test_an_async_handler_that_will_not_be_cancelled_is_left_behind(home: Installation, registry: Registry) -> None:
    swallowed = threading.Event()

    @registry.task("stubborn")
    async def stubborn(payload: Anything) -> str:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            swallowed.set()
        return "too late"

    registry.task("it")(lambda_of(1))
    task = home.submit("stubborn")
    home.work(seconds=SHORT)
    assert swallowed.wait(PATIENCE)

    home.submit("it")
    assert [outcome.task.status for outcome in home.work().outcomes] == [Status.COMPLETED]
    waiting = home.task(task)
    assert (waiting.status, waiting.result) == (Status.SCHEDULED, None)


def test_a_handler_that_blocks_the_event_loop_does_not_stop_the_worker(home: Installation, registry: Registry) -> None:
    release = threading.Event()

    @registry.task("blocks")
    async def blocks(payload: Anything) -> None:
        release.wait(PATIENCE)

    @registry.task("polite")
    async def polite(payload: Anything) -> str:
        return "done"

    task = home.submit("blocks")
    home.work(seconds=SHORT)

    assert home.task(task).status is Status.SCHEDULED
    after = home.submit("polite")
    home.work()
    assert home.result(after) == "done"
    release.set()


def test_without_time_an_attempt_ends_before_it_can_be_cut_off(home: Installation, registry: Registry) -> None:
    release = threading.Event()

    @registry.task("it")
    def slow(payload: Anything) -> None:
        release.wait(PATIENCE)

    task = home.submit("it")
    home.work(seconds=1)

    assert home.task(task).status is Status.SCHEDULED
    release.set()
