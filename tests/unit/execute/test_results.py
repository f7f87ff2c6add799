"""A handler that returns completes its task with its result."""

import asyncio

import pytest

from tasklane.context import TaskContext
from tasklane.document import INLINE_LIMIT, MAX_DOCUMENT
from tasklane.registry import Registry
from tasklane.task import CallbackState, Status
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Anything
from tests.unit.execute.conftest import Numbered, lambda_of, ran


def test_what_a_plain_handler_returns_is_the_result(home: Installation, registry: Registry) -> None:
    def double(payload: Numbered) -> dict[str, int]:
        return {"twice": payload.n * 2}

    task = ran(home, registry, double)

    assert (task.status, home.result(task), task.error, task.attempts) == (Status.COMPLETED, {"twice": 14}, None, ())
    assert (task.run, task.finished_at, task.due_at) == (1, home.clock.now(), None)
    assert home.queues.depth(3) == 0


def test_what_an_async_handler_returns_is_the_result(home: Installation, registry: Registry) -> None:
    async def double(payload: Numbered, context: TaskContext) -> int:
        await asyncio.sleep(0)
        return payload.n * 2 + context.attempt

    task = ran(home, registry, double)

    assert (task.status, home.result(task)) == (Status.COMPLETED, 15)


def test_a_large_payload_and_a_large_result_go_through_the_blob_store(home: Installation, registry: Registry) -> None:
    def grow(payload: Anything) -> str:
        assert payload.model_extra is not None
        return str(payload.model_extra["text"]) * 2

    async def grow_too(payload: Anything) -> str:
        return grow(payload)

    registry.task("grow")(grow)
    registry.task("grow-too")(grow_too)
    text = "🦊" * INLINE_LIMIT
    tasks = [home.submit(name, {"text": text}) for name in ("grow", "grow-too")]

    home.work()

    for task in map(home.task, tasks):
        assert (task.payload.blob_key is not None, task.status) == (True, Status.COMPLETED)
        assert task.result is not None
        assert task.result.blob_key is not None
        assert task.has_blobs
        assert home.result(task) == text * 2


def test_a_completed_task_with_a_callback_sends_it(home: Installation, registry: Registry) -> None:
    task = ran(home, registry, lambda_of(1), callback_url="https://hooks.example.com/")

    assert task.callback is not None
    assert task.callback.state is CallbackState.PENDING
    assert home.queues.depth(CALLBACKS) == 1


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_a_result_that_is_no_json_fails_the_task_at_once(home: Installation, registry: Registry, value: object) -> None:
    task = ran(home, registry, lambda_of(value))

    assert (task.status, len(task.attempts)) == (Status.FAILED, 1)
    assert task.error is not None
    assert task.error.type == "InvalidResult"


def test_a_result_over_the_limit_fails_the_task_at_once(home: Installation, registry: Registry) -> None:
    task = ran(home, registry, lambda_of("x" * MAX_DOCUMENT))

    assert task.status is Status.FAILED
    assert task.error is not None
    assert (task.error.type, str(MAX_DOCUMENT) in task.error.message) == ("InvalidResult", True)


def test_a_bucket_that_is_away_for_a_moment_makes_no_handler_work_twice(
    home: Installation, registry: Registry, no_pauses: int
) -> None:
    def large(payload: Anything) -> str:
        home.blobs.refuse = no_pauses - 1
        return "x" * INLINE_LIMIT

    task = ran(home, registry, large)

    assert (task.status, task.attempt, task.attempts) == (Status.COMPLETED, 1, ())
