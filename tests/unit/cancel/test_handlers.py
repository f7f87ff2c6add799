"""A handler hears that its task is called off; how it ends then decides how the task ends."""

import asyncio
import threading

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue, NotNow, TaskCancelled
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from tests.unit.cancel.conftest import HOOK, assert_cancelled_once, call_off, ran


@pytest.mark.usefixtures("quick")
def test_a_plain_handler_hears_of_it_and_the_task_ends_cancelled(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        assert call_off(home).status is Status.RUNNING
        wait_for(context.raise_if_cancelled)

    assert_cancelled_once(home, ran(home, registry, plain))


@pytest.mark.usefixtures("quick")
def test_an_async_handler_is_interrupted_and_cleans_up(home: Installation, registry: Registry) -> None:
    cleaned_up = threading.Event()

    async def waits(payload: Nothing) -> None:
        try:
            call_off(home)
            await asyncio.sleep(60)
        finally:
            cleaned_up.set()

    assert_cancelled_once(home, ran(home, registry, waits))
    assert cleaned_up.wait(10)


@pytest.mark.usefixtures("quick")
def test_its_neighbours_are_not_disturbed(home: Installation, registry: Registry) -> None:
    off = threading.Event()

    @registry.task("off")
    async def waits(payload: Nothing) -> None:
        off.set()
        await asyncio.sleep(60)

    @registry.task("neighbour")
    async def neighbour(payload: Nothing) -> str:
        while home.task(called_off).status is not Status.CANCELLED:
            if off.is_set():
                off.clear()
                home.services.manage.cancel(called_off.id)
            await asyncio.sleep(0.005)
        return "undisturbed"

    called_off, other = home.submit("off"), home.submit("neighbour")
    home.work()

    assert home.result(other) == "undisturbed"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [OSError("while letting go"), Continue({"page": 2})])
def test_a_handler_that_was_told_and_ends_in_any_error_has_let_go(
    home: Installation, registry: Registry, error: Exception
) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        wait_for(lambda: context.cancelled)
        raise error

    assert_cancelled_once(home, ran(home, registry, plain))


@pytest.mark.usefixtures("quick")
def test_a_handler_that_was_told_and_returns_all_the_same_has_completed(home: Installation, registry: Registry) -> None:
    def finish(payload: Nothing, context: TaskContext) -> str:
        call_off(home)
        with pytest.raises(TaskCancelled):
            wait_for(lambda: context.checkpoint(1))
        return "done"

    task = ran(home, registry, finish)

    assert (task.status, home.result(task)) == (Status.COMPLETED, "done")


@pytest.mark.usefixtures("quick")
def test_a_handler_that_was_told_and_overruns_is_cancelled(home: Installation, registry: Registry) -> None:
    release = threading.Event()

    @registry.task("it")
    def deaf(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        wait_for(lambda: context.cancelled)
        release.wait(10)

    task = home.submit("it", callback_url=HOOK)
    home.work(seconds=3.5)
    release.set()

    assert_cancelled_once(home, home.task(task))


@pytest.mark.parametrize("error", [OSError("by chance"), Continue({"page": 2}), Continue(after=3600)])
def test_a_handler_that_ends_before_it_was_told_does_not_begin_again(
    home: Installation, registry: Registry, error: Exception
) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        raise error

    assert_cancelled_once(home, ran(home, registry, plain))


def test_a_handler_that_returns_before_it_was_told_has_completed(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> str:
        call_off(home)
        return "done"

    task = ran(home, registry, plain)

    assert (task.status, home.result(task)) == (Status.COMPLETED, "done")
    with pytest.raises(NotNow, match="completed already"):
        call_off(home)


def test_the_last_failed_attempt_stands_if_its_handler_was_not_told(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        raise OSError("by chance")

    assert ran(home, registry, plain, max_attempts=1).status is Status.FAILED


def test_if_even_that_cannot_be_looked_up_the_sweeper_cancels_it(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        home.store.refuse("get")
        raise OSError("by chance")

    task = ran(home, registry, plain)
    assert task.status is Status.RUNNING

    home.clock.advance(300)
    home.sweep()

    assert_cancelled_once(home, home.task(task))
