"""How one attempt ends, whatever its handler does."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from tasklane.context import TaskContext
from tasklane.document import INLINE_LIMIT, MAX_DOCUMENT
from tasklane.errors import NonRetryable, RunLost
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.starter import REPORT_RESERVE_SECONDS
from tasklane.task import CallbackState, Status, Task
from tasklane.timestamps import rfc3339
from tests.support.builders import NOW, a_task
from tests.support.installation import CALLBACKS, Installation

PATIENCE = 10.0
SHORT = REPORT_RESERVE_SECONDS + 0.05
"""An invocation that leaves a handler a twentieth of a second."""
PARADOX = type("Paradox", (BaseException,), {})


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")

    n: int = 0


def ran(home: Installation, registry: Registry, handler: Callable[..., Any], **submission: Any) -> Task:
    """The task after one attempt by this handler."""
    registry.task("it")(handler)
    task = home.submit("it", {"n": 7}, **submission)
    home.work()
    return home.task(task)


# -- it returns --------------------------------------------------------------------------------------------------------


def test_what_a_plain_handler_returns_is_the_result(home: Installation, registry: Registry) -> None:
    def double(payload: Anything) -> dict[str, int]:
        return {"twice": payload.n * 2}

    task = ran(home, registry, double)

    assert (task.status, home.result(task), task.error, task.attempts) == (Status.COMPLETED, {"twice": 14}, None, ())
    assert (task.run, task.finished_at, task.due_at) == (1, home.clock.now(), None)
    assert home.queues.depth(3) == 0


def test_what_an_async_handler_returns_is_the_result(home: Installation, registry: Registry) -> None:
    async def double(payload: Anything, context: TaskContext) -> int:
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


def lambda_of(value: Any) -> Callable[..., Any]:
    def give(payload: Anything) -> Any:
        return value

    return give


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


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often something is tried with patience, which takes no time here."""
    pauses = (0.0, 0.0)
    monkeypatch.setattr("tasklane.save.PAUSES", pauses)
    return len(pauses) + 1


def test_a_bucket_that_is_away_for_a_moment_makes_no_handler_work_twice(
    home: Installation, registry: Registry, no_pauses: int
) -> None:
    def large(payload: Anything) -> str:
        home.blobs.refuse = no_pauses - 1
        return "x" * INLINE_LIMIT

    task = ran(home, registry, large)

    assert (task.status, task.attempt, task.attempts) == (Status.COMPLETED, 1, ())


# -- it raises ---------------------------------------------------------------------------------------------------------


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


# -- it does not come back ---------------------------------------------------------------------------------------------


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


# -- it cannot begin ---------------------------------------------------------------------------------------------------


def delivered(home: Installation, task: Task) -> Task:
    """A task that is in the store and announced, though no submission would have accepted it."""
    home.store.put([task])
    home.lanes.send([TaskMessage.of(task)])
    return task


def test_a_type_that_this_worker_does_not_know_waits_for_the_next_deployment(home: Installation) -> None:
    task = delivered(home, a_task(type="of-tomorrow"))
    home.work()

    waiting = home.task(task)
    assert waiting.status is Status.SCHEDULED
    assert waiting.error is not None
    assert waiting.error.type == "UnknownTaskType"


def test_a_type_for_external_workers_is_not_run_here(home: Installation, registry: Registry) -> None:
    registry.declare_external("scan")
    task = delivered(home, a_task(type="scan", max_attempts=1))
    home.work()

    failed = home.task(task)
    assert failed.error is not None
    assert (failed.status, failed.error.type) == (Status.FAILED, "HandlerStopped")


def test_a_payload_that_fits_no_longer_fails_the_task(home: Installation, registry: Registry) -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    @registry.task("echo")
    def strict(payload: Strict) -> None: ...

    task = delivered(home, a_task(type="echo"))
    home.work()

    failed = home.task(task)
    assert failed.error is not None
    assert (failed.status, failed.error.type) == (Status.FAILED, "InvalidPayload")


def test_a_payload_that_cannot_be_fetched_is_tried_again(
    home: Installation, registry: Registry, no_pauses: int
) -> None:
    registry.task("it")(lambda_of("done"))
    task = home.submit("it", {"text": "x" * INLINE_LIMIT})
    home.blobs.refuse = no_pauses
    home.work()
    assert home.task(task).status is Status.SCHEDULED

    home.clock.advance(5)
    home.work()
    assert home.result(task) == "done"


# -- what the log says -------------------------------------------------------------------------------------------------


def failed_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any], str]]:
    lines = [line for line in caplog.records if line.__dict__.get("action") == "attempt_failed"]
    return [(line.getMessage(), line.__dict__, logging.Formatter().format(line)) for line in lines]


def test_the_line_about_a_failed_attempt_says_what_follows(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.task("it", retry=RetryPolicy.fixed(10))
    def fail(payload: Anything) -> None:
        raise OSError("no space left")

    home.submit("it", max_attempts=2)
    home.work()
    home.clock.advance(10)
    home.work()

    (first, first_keys, _), (last, last_keys, _) = failed_lines(caplog)
    assert first == "An attempt failed; another one follows."
    assert (first_keys["next_attempt_at"], first_keys["attempts_left"]) == (rfc3339(NOW + 10_000), 1)
    assert last == "An attempt failed, and with it the task."
    assert ("next_attempt_at" in last_keys, last_keys["attempts_left"]) == (False, 0)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_trace_of_a_failed_attempt_begins_in_the_handler(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def plain(payload: Anything) -> None:
        raise OSError("no space left")

    async def waiting(payload: Anything) -> None:
        plain(payload)

    ran(home, registry, plain if kind == "plain" else waiting)

    ((_, _, text),) = failed_lines(caplog)
    assert text.count('File "') == text.count(__file__) == (1 if kind == "plain" else 2)
    assert "no space left" in text


def test_an_attempt_that_was_timed_out_has_no_trace(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()

    @registry.task("it")
    def late(payload: Anything) -> None:
        over.wait(PATIENCE)

    home.submit("it")
    home.work(seconds=SHORT)
    over.set()

    ((_, _, text),) = failed_lines(caplog)
    assert 'File "' not in text
    assert "AttemptTimedOut: The attempt was still running" in text
