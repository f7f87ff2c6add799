"""A task that goes on in another run: what it takes along, and how often it may."""

from collections.abc import Callable
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tests.support.builders import NOW
from tests.support.dying import work_and_die
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for

LARGE = "x" * 5000


def crash(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die before it writes an outcome, and the sweeper find out."""
    work_and_die(home, monkeypatch, "tasklane.ending.Ending._write")
    home.clock.advance(600)
    home.sweep()


def ran(home: Installation, registry: Registry, handler: Callable[..., Any]) -> Task:
    registry.task("it")(handler)
    task = home.submit("it")
    home.work()
    return home.task(task)


def test_a_handler_may_go_on_in_a_new_run_with_what_it_left(home: Installation, registry: Registry) -> None:
    seen: list[tuple[int, Any]] = []

    @registry.task("it")
    def pages(payload: Nothing, context: TaskContext) -> str:
        seen.append((context.attempt, context.state))
        if len(seen) < 3:
            raise Continue({"page": len(seen), "filler": "x" * (5000 if len(seen) == 2 else 0)}, after=30)
        return "all pages"

    task = home.submit("it", max_attempts=1)
    for _ in range(3):
        home.work()
        home.clock.advance(30)

    done = home.task(task)
    assert (done.status, done.run, done.attempt, done.attempts) == (Status.COMPLETED, 3, 1, ())
    assert [(attempt, state and state["page"]) for attempt, state in seen] == [(1, None), (1, 1), (1, 2)]
    assert (done.continuations, done.state, done.has_blobs) == (2, None, True)


def test_a_task_that_goes_on_for_ever_is_ended(home: Installation, registry: Registry) -> None:
    @registry.task("it", max_continuations=2)
    def endless(payload: Nothing) -> None:
        raise Continue

    task = home.submit("it")
    for _ in range(3):
        assert home.work().outcomes

    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.type == "TooManyContinuations"


@pytest.mark.parametrize(
    ("state", "error"), [(object(), "TypeError"), (float("nan"), "ValueError"), ("x" * 6_000_000, "DocumentTooLarge")]
)
def test_a_state_that_cannot_be_kept_is_an_error_of_the_handler(
    home: Installation, registry: Registry, state: Any, error: str
) -> None:
    def wrong(payload: Nothing) -> None:
        raise Continue(state)

    task = ran(home, registry, wrong)

    assert task.error is not None
    assert (task.status, task.error.type) == (Status.SCHEDULED, error)


def test_a_checkpoint_is_there_for_the_next_attempt(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def twice(payload: Nothing, context: TaskContext) -> Any:
        if context.attempt == 1:
            context.checkpoint({"done": 5})
            context.checkpoint({"done": 7, "filler": "x" * 5000})
            raise OSError("lost the connection")
        return context.state["done"]

    task = home.submit("it")
    home.work()
    assert home.task(task).state is not None
    home.clock.advance(5)
    home.work()

    assert home.result(task) == 7


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_is_written_while_the_handler_runs(home: Installation, registry: Registry) -> None:
    def work(payload: Nothing, context: TaskContext) -> None:
        context.checkpoint({"done": 5})
        wait_for(lambda: home.store.only().state)
        context.checkpoint(None)

    assert ran(home, registry, work).state is None


@pytest.mark.parametrize("after", [float("nan"), "soon", None])
def test_a_pause_that_makes_no_sense_fails_the_attempt(home: Installation, registry: Registry, after: Any) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> None:
        raise Continue({"page": 1}, after=after)

    task = home.submit("it")
    home.work()

    failed = home.task(task)
    assert (failed.status, len(failed.attempts), failed.continuations) == (Status.SCHEDULED, 1, 0)


@pytest.mark.parametrize(("after", "waits"), [(-5, 0), (0, 0), (0.25, 0.25), (1e300, 366 * 86_400)])
def test_a_continuation_waits_as_long_as_it_says(
    home: Installation, registry: Registry, after: float, waits: float
) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> None:
        raise Continue(after=after)

    task = home.submit("it")
    home.work()

    waiting = home.task(task)
    assert waiting.run_at == (NOW + int(waits * 1000) if waits else None)
    assert (waiting.status, waiting.attempt) == (Status.SCHEDULED if waits else Status.PENDING, 0)


def test_without_a_state_the_last_checkpoint_stays(home: Installation, registry: Registry) -> None:
    seen: list[Any] = []

    @registry.task("it")
    def it(payload: Nothing, context: TaskContext) -> None:
        seen.append(context.state)
        if len(seen) == 1:
            context.checkpoint({"page": 7})
            raise Continue
        if len(seen) == 2:
            context.checkpoint(None)
            raise Continue

    home.submit("it")
    for _ in range(3):
        home.work()

    assert seen == [None, {"page": 7}, None]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("filler", ["", LARGE])
def test_a_checkpoint_survives_its_worker(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch, filler: str
) -> None:
    seen: list[Any] = []

    @registry.task("it")
    def it(payload: Nothing, context: TaskContext) -> str:
        seen.append(context.state and context.state["done"])
        if len(seen) == 1:
            context.checkpoint({"done": 5, "filler": filler})
            wait_for(lambda: home.store.only().state)
        return "done"

    task = home.submit("it", max_attempts=2)
    crash(home, monkeypatch)
    lost = home.task(task)
    assert [attempt.error.type for attempt in lost.attempts] == ["AttemptLost"]
    assert lost.has_blobs is bool(filler), "what lies in the bucket must be removed with the task, come what may"
    home.clock.advance(5)
    home.work()

    assert (home.result(task), seen) == ("done", [None, 5])


@pytest.mark.usefixtures("quick")
def test_a_state_that_cannot_be_read_is_tried_again(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def it(payload: Nothing, context: TaskContext) -> Any:
        if context.state is None:
            raise Continue({"filler": LARGE})
        return len(context.state["filler"])

    task = home.submit("it")
    home.work()
    home.blobs.refuse = 1
    home.work()
    assert home.task(task).status is Status.SCHEDULED
    home.clock.advance(5)
    home.work()

    assert home.result(task) == len(LARGE)


def test_each_continuation_has_all_attempts_before_it_and_errors_count_over_all(
    home: Installation, registry: Registry
) -> None:
    runs: list[int] = []

    @registry.task("it", retry=RetryPolicy.fixed(0, max_attempts=2))
    def it(payload: Nothing, context: TaskContext) -> None:
        runs.append(context.attempt)
        if len(runs) in (2, 4):
            raise OSError("by chance")
        raise Continue

    task = home.submit("it")
    for _ in range(4):
        home.work()

    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert [attempt.number for attempt in failed.attempts] == [1, 2]
    assert runs == [1, 1, 2, 2]
    assert (failed.run, failed.attempt, failed.continuations) == (4, 2, 2)


def test_a_task_that_went_on_too_often_may_be_let_go_on_by_hand(home: Installation, registry: Registry) -> None:
    @registry.task("it", max_continuations=2)
    def it(payload: Nothing, context: TaskContext) -> str:
        page = (context.state or 0) + 1
        if page < 5:
            raise Continue(page)
        return f"page {page}"

    task = home.submit("it")
    for _ in range(3):
        home.work()
    assert home.task(task).status is Status.FAILED
    home.services.manage.retry(task.id)
    for _ in range(3):
        home.work()

    done = home.task(task)
    assert (done.status, home.result(done)) == (Status.COMPLETED, "page 5")
