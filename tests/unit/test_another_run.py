"""What leads to another run: a continuation, a policy of the task's own, a change by hand; and what then holds."""

import math
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue, RetryLater
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tasklane.transitions import Timing, renewed
from tests.support.builders import NOW, a_running_task
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


# -- continuations and checkpoints -------------------------------------------------------------------------------------


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


# -- retries -----------------------------------------------------------------------------------------------------------


def pauses(home: Installation, registry: Registry, policy: RetryPolicy, **submission: Any) -> tuple[Task, list[float]]:
    """The task when it has ended, and the seconds that it waited before each further attempt."""
    waited: list[float] = []

    @registry.task("it", retry=policy)
    def it(payload: Nothing) -> None:
        raise OSError("always")

    task = home.submit("it", **submission)
    home.work()
    while (waiting := home.task(task)).status.waiting:
        waited.append(((waiting.run_at or home.clock.now()) - home.clock.now()) / 1000)
        home.clock.advance(math.ceil(waited[-1]))
        home.work()
    return home.task(task), waited


def test_a_task_may_have_pauses_of_its_own(home: Installation, registry: Registry) -> None:
    task, waited = pauses(home, registry, RetryPolicy.fixed(5), max_attempts=5, retry={"pauses": [1, 2.5, 600]})

    assert waited == [1, 2.5, 600, 600]
    assert (task.status, len(task.attempts)) == (Status.FAILED, 5)


def test_a_task_that_asks_for_backoff_gets_it_though_its_type_has_a_list(
    home: Installation, registry: Registry
) -> None:
    _, waited = pauses(
        home, registry, RetryPolicy.listed(500, 500), max_attempts=9, retry={"base_seconds": 1, "cap_seconds": 4}
    )

    assert len(waited) == 8
    assert all(0 <= pause <= 4 for pause in waited)


def test_a_task_may_be_too_old_for_another_attempt(home: Installation, registry: Registry) -> None:
    task, waited = pauses(home, registry, RetryPolicy.fixed(40), max_attempts=99, retry={"max_age_seconds": 100})

    assert waited == [40, 40]
    assert len(task.attempts) == 3


def test_an_error_may_carry_its_own_pause(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> None:
        raise RetryLater("the warehouse is full", retry_after=7200)

    task = home.submit("it", retry={"pauses": [1]})
    home.work()

    assert home.task(task).run_at == NOW + 7_200_000


# -- expiry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [OSError("by chance"), Continue({"page": 1}, after=60)])
def test_a_task_that_began_in_time_goes_on_after_its_expiry(
    home: Installation, registry: Registry, wish: Exception
) -> None:
    @registry.task("it", retry=RetryPolicy.fixed(60))
    def it(payload: Nothing, context: TaskContext) -> str:
        if home.clock.now() == NOW:
            raise wish
        return "done"

    task = home.submit("it", expires_at=NOW + 30_000)
    home.work()
    home.clock.advance(60)
    home.sweep()
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_one_that_is_let_begin_again_expires_as_it_did_before(home: Installation, registry: Registry) -> None:
    @registry.task("it", retry=RetryPolicy(max_attempts=1))
    def it(payload: Nothing) -> None:
        raise OSError("always")

    task = home.submit("it", expires_at=NOW + 30_000)
    home.work()
    home.services.manage.retry(task.id)
    home.clock.advance(31)
    home.work()

    assert home.task(task).status is Status.EXPIRED


def test_a_task_that_is_put_off_far_is_brought_to_its_lane_in_time(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> str:
        return "done"

    task = home.submit("it")
    sent = len(home.lanes.sent)
    home.services.manage.reschedule(task.id, run_at=NOW + 86_400_000, priority=2)
    assert len(home.lanes.sent) == sent, "no queue carries it that far"

    home.clock.advance(86_400 - 800)
    home.sweep()
    home.work(lane=2)
    assert home.task(task).status is Status.SCHEDULED
    home.clock.advance(800)
    home.work(lane=2)
    assert (home.task(task).status, home.work(lane=3).refused) == (Status.COMPLETED, 1)


# -- heartbeat ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due_in", "moved_to"),
    [
        pytest.param(180_000, None, id="the lease ends before: it costs an index entry, so it stays"),
        pytest.param(75_000, None, id="at the same time"),
        pytest.param(74_999, 255_000, id="the lease would outlast it: as far as it may go"),
    ],
)
def test_a_renewal_moves_due_only_where_it_must(due_in: int, moved_to: int | None) -> None:
    task = renewed(a_running_task(due_at=NOW + due_in), NOW, Timing())

    assert task.lease_until == NOW + 75_000
    assert task.due_at == NOW + (due_in if moved_to is None else moved_to)
