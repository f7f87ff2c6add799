"""A handler that raises: another attempt, or the end; never the worker's."""

import asyncio
import logging

import pytest

from tasklane.context import TaskContext
from tasklane.errors import NonRetryable
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Anything
from tests.unit.execute.conftest import ran

PARADOX = type("Paradox", (BaseException,), {})


def test_a_handler_that_fails_is_tried_again_until_its_attempts_are_used_up(
    home: Installation, registry: Registry
) -> None:
    seen: list[int] = []

    @registry.task("it", retry=RetryPolicy(max_attempts=3, base_seconds=10, cap_seconds=15))
    def fail(payload: Anything, context: TaskContext) -> None:
        seen.append(context.attempt)
        raise OSError(f"no space left, time {context.attempt}")

    task = home.submit("it", callback_url="https://hooks.example.com/")
    for number, pause in ((1, 10), (2, 15)):
        home.work()
        waiting = home.task(task)
        assert (waiting.status, waiting.run) == (Status.SCHEDULED, number)
        assert waiting.run_at is not None
        assert home.clock.now() < waiting.run_at <= home.clock.now() + pause * 1000
        assert home.queues.depth(CALLBACKS) == 0
        home.clock.advance(pause)

    home.work()

    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert [(one.number, one.error.type, one.error.message) for one in failed.attempts] == [
        (number, "OSError", f"no space left, time {number}") for number in (1, 2, 3)
    ]
    assert failed.error == failed.attempts[-1].error
    assert seen == [1, 2, 3]
    assert home.queues.depth(3) == 0
    assert home.queues.depth(CALLBACKS) == 1


def test_a_handler_may_succeed_after_it_failed(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def second_time(payload: Anything, context: TaskContext) -> str:
        if context.attempt == 1:
            raise OSError("not yet")
        return "now"

    task = home.submit("it")
    home.work()
    home.clock.advance(5)
    home.work()

    done = home.task(task)
    assert (done.status, home.result(done), done.error, len(done.attempts)) == (Status.COMPLETED, "now", None, 1)


def test_an_error_that_says_so_ends_the_task(home: Installation, registry: Registry) -> None:
    def hopeless(payload: Anything) -> None:
        raise NonRetryable("the account is closed")

    task = ran(home, registry, hopeless, max_attempts=9)

    assert (task.status, len(task.attempts)) == (Status.FAILED, 1)
    assert task.error is not None
    assert (task.error.type, task.error.message) == ("NonRetryable", "the account is closed")
    assert task.outcome_at == home.clock.now()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words for it")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("half a \ud800 character"), "half a ? character"),
        (ValueError("x" * 5000), "x" * 1000),
        (ValueError(), ""),
        (Unprintable(), "(the exception has no readable text)"),
    ],
)
def test_any_error_can_be_written_down(
    home: Installation, registry: Registry, error: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Half a character in a captured line cannot be sent to the process that collects the reports.
    caplog.set_level(logging.CRITICAL + 1, "tasklane")

    def fail(payload: Anything) -> None:
        raise error

    task = ran(home, registry, fail, max_attempts=1)

    assert task.status is Status.FAILED
    assert task.error is not None
    assert (task.error.type, task.error.message) == (type(error).__name__, message)


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), PARADOX("x"), GeneratorExit()]
)
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_handler_cannot_end_the_worker(
    home: Installation, registry: Registry, error: BaseException, kind: str
) -> None:
    def stop(payload: Anything) -> None:
        raise error

    async def stop_too(payload: Anything) -> None:
        await asyncio.sleep(0)
        raise error

    @registry.task("neighbour")
    async def neighbour(payload: Anything) -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return "undisturbed"

    registry.task("it")(stop if kind == "plain" else stop_too)
    neighbours = [home.submit("neighbour")]
    task = home.submit("it", max_attempts=1)
    neighbours.append(home.submit("neighbour"))

    home.work()

    stopped = home.task(task)
    assert stopped.status is Status.FAILED
    assert stopped.error is not None
    assert stopped.error.type == "HandlerStopped"
    assert [home.result(one) for one in neighbours] == ["undisturbed"] * 2
    home.submit("neighbour")
    assert home.work().outcomes[0].task.status is Status.COMPLETED, "the loop goes on"
