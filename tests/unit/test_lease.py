"""What external workers say of the tasks that they hold, and when nobody believes them any more."""

from typing import Any

import pytest

from tasklane.document import MAX_DOCUMENT
from tasklane.errors import DocumentTooLarge, LeaseLost, TaskNotFound, Unavailable
from tasklane.lease import MAX_STATE, Failure, Holder
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackEvent, CallbackState, Progress, Status, Task
from tests.support.builders import NOW
from tests.support.installation import Installation


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.declare_external("resize", retry=RetryPolicy.fixed(20, max_attempts=2))
    return registry


def leased(home: Installation, seconds: int = 60, **fields: Any) -> Task:
    """A task that has just been submitted and fetched."""
    home.submit("resize", **fields)
    (task,) = home.services.fetch((), 1, seconds)
    return task


def complete(home: Installation, task: Task, result: Any = None, holder: Holder | None = None) -> Task:
    return home.services.leases.complete(task.id, holder or Holder.of(task), result)


def fail(home: Installation, task: Task, **fields: Any) -> Task:
    failure = Failure(**{"type": "DiskFull", "message": "no room left", **fields})
    return home.services.leases.fail(task.id, Holder.of(task), failure)


def run_out(home: Installation, seconds: float = 60) -> None:
    """Let the lease end, and the message at its end be looked at."""
    home.clock.advance(seconds)
    home.work()


# -- completed ---------------------------------------------------------------------------------------------------------


def test_the_result_of_a_worker_is_the_tasks(home: Installation) -> None:
    task = leased(home, callback_url="https://example.com/")
    home.clock.advance(5)

    after = complete(home, task, {"width": 640})

    assert (after.status, home.result(task)) == (Status.COMPLETED, {"width": 640})
    assert (after.finished_at, after.due_at, after.line) == (NOW + 5000, after.due_at, None)
    assert home.deliver().delivered == 1
    callback = home.task(task).callback
    assert callback is not None
    assert callback.state is CallbackState.DELIVERED


def test_saying_it_again_changes_nothing(home: Installation) -> None:
    task = leased(home, callback_url="https://example.com/")
    first = complete(home, task, [1, "ü"])
    home.clock.advance(5)

    assert complete(home, task, [1, "ü"]) == first
    home.deliver()
    assert complete(home, task, [1, "ü"]).status is Status.COMPLETED
    assert len(home.http.posted) == 1


@pytest.mark.parametrize("other", [{"width": 1}, None, [], False])
def test_saying_something_else_afterwards_is_refused(home: Installation, other: Any) -> None:
    task = leased(home)
    complete(home, task, {"width": 640})

    with pytest.raises(LeaseLost):
        complete(home, task, other)
    assert home.result(task) == {"width": 640}


def test_another_token_is_refused_though_the_result_is_the_same(home: Installation) -> None:
    task = leased(home)
    complete(home, task, 1)

    with pytest.raises(LeaseLost):
        complete(home, task, 1, Holder(attempt=1, lease_id="00000000"))


@pytest.mark.parametrize(
    "holder", [Holder(attempt=1, lease_id="00000000"), Holder(attempt=2), Holder(attempt=0), Holder(attempt=7)]
)
def test_who_does_not_hold_the_task_is_not_heard(home: Installation, holder: Holder) -> None:
    task = leased(home)

    with pytest.raises(LeaseLost):
        home.services.leases.heartbeat(task.id, holder)
    with pytest.raises(LeaseLost):
        complete(home, task, 1, holder)
    with pytest.raises(LeaseLost):
        home.services.leases.fail(task.id, holder, Failure(type="E", message=""))
    assert home.task(task) == task


def test_a_task_of_a_handler_cannot_be_completed_from_outside(home: Installation, registry: Registry) -> None:
    running = leased(home).evolve(external=False, id="of-a-handler")
    home.store.put([running])

    with pytest.raises(LeaseLost):
        complete(home, running, 1)


def test_a_task_that_does_not_exist_is_not_found(home: Installation) -> None:
    with pytest.raises(TaskNotFound):
        home.services.leases.complete("nobody", Holder(attempt=1), 1)


def test_a_large_result_lies_in_the_bucket(home: Installation) -> None:
    task = leased(home)

    after = complete(home, task, "x" * 5000)

    assert after.result is not None
    assert after.result.text is None
    assert after.has_blobs
    assert home.result(task) == "x" * 5000


def test_a_result_that_is_too_large_is_refused_and_the_lease_goes_on(home: Installation) -> None:
    task = leased(home)

    with pytest.raises(DocumentTooLarge):
        complete(home, task, "x" * MAX_DOCUMENT)

    assert home.task(task).status is Status.RUNNING
    complete(home, task, "less")


def test_a_table_that_does_not_answer_is_no_lost_lease(home: Installation) -> None:
    task = leased(home)
    home.store.refuse("renew")

    with pytest.raises(Unavailable):
        complete(home, task, 1)

    assert complete(home, task, 1).status is Status.COMPLETED


# -- late --------------------------------------------------------------------------------------------------------------


def test_a_late_result_is_taken_while_nobody_has_noticed(home: Installation) -> None:
    task = leased(home)
    home.clock.advance(3600)

    assert complete(home, task, 1).status is Status.COMPLETED


def test_a_late_result_is_taken_while_nobody_else_has_the_task(home: Installation) -> None:
    task = leased(home)
    home.clock.advance(60)
    home.work()
    home.clock.advance(20)
    home.work()
    assert home.task(task).line == "pull:resize"

    after = complete(home, task, "late")

    assert (after.status, home.result(task), after.attempt) == (Status.COMPLETED, "late", 2)
    assert home.services.fetch((), 1) == []
    assert complete(home, task, "late") == after, "the same token and result again"


def test_a_late_result_is_refused_once_somebody_else_has_the_task(home: Installation) -> None:
    task = leased(home)
    run_out(home)
    run_out(home, 20)
    (other,) = home.services.fetch((), 1)

    with pytest.raises(LeaseLost):
        complete(home, task, "late")
    assert complete(home, other, "in time").status is Status.COMPLETED
    with pytest.raises(LeaseLost):
        complete(home, task, "later still")
    assert home.result(task) == "in time"


def test_of_a_late_worker_and_the_next_one_only_one_has_the_task(home: Installation) -> None:
    """Who fetches between the late worker's look and its write wins."""
    task = leased(home)
    run_out(home)
    run_out(home, 20)
    claim, taken = home.store.claim, list[Task]()

    def meanwhile(claims: Any) -> Any:
        home.store.claim = claim  # type: ignore[method-assign]
        taken.extend(home.services.fetch((), 1))
        return claim(claims)

    home.store.claim = meanwhile  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        complete(home, task, "late")

    assert complete(home, taken[0], "in time").status is Status.COMPLETED


def test_a_failed_attempt_is_not_completed_afterwards(home: Installation) -> None:
    """Only whoever was lost may come back."""
    task = leased(home)
    fail(home, task, retry_after=0)

    with pytest.raises(LeaseLost):
        complete(home, task, 1)


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_a_heartbeat_renews_the_lease(home: Installation) -> None:
    task = leased(home)
    home.clock.advance(50)

    after = home.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=100)

    assert after.lease_until == NOW + 150_000
    assert (after.due_at or 0) > NOW + 150_000
    home.clock.advance(99)
    home.sweep()
    assert home.task(task).status is Status.RUNNING


def test_a_heartbeat_shows_progress_and_keeps_a_state_for_the_next_attempt(home: Installation) -> None:
    task = leased(home)
    holder = Holder.of(task)
    progress = Progress(fraction=0.5, message="half")

    home.services.leases.heartbeat(task.id, holder, progress=progress, state={"page": 7})
    home.services.leases.heartbeat(task.id, holder)
    assert home.task(task).progress == progress
    run_out(home, 60)
    run_out(home, 20)
    (again,) = home.services.fetch((), 1)

    assert again.state is not None
    assert home.text(again.state) == '{"page":7}'
    assert again.progress is None


def test_a_state_that_is_too_large_is_refused(home: Installation) -> None:
    task = leased(home)

    with pytest.raises(DocumentTooLarge) as refused:
        home.services.leases.heartbeat(task.id, Holder.of(task), state="x" * MAX_STATE)
    assert refused.value.issues[0]["pointer"] == "/state"


def test_who_wants_to_know_of_progress_is_told_once(home: Installation) -> None:
    events = (CallbackEvent.PROGRESS,)
    task = leased(home, callback_url="https://example.com/", callback_events=events)
    for _ in range(2):
        home.services.leases.heartbeat(task.id, Holder.of(task), progress=Progress(fraction=0.5))

    assert home.queues.depth(0) == 1


# -- called off --------------------------------------------------------------------------------------------------------


def test_a_worker_hears_that_the_task_was_called_off(home: Installation) -> None:
    task = leased(home)
    home.services.manage.cancel(task.id)

    assert home.services.leases.heartbeat(task.id, Holder.of(task)).cancel_requested
    assert fail(home, task).status is Status.CANCELLED


def test_what_was_done_before_the_worker_heard_of_it_stands(home: Installation) -> None:
    task = leased(home)
    home.services.manage.cancel(task.id)

    assert complete(home, task, 1).status is Status.COMPLETED


def test_a_called_off_task_of_a_lost_worker_is_cancelled(home: Installation) -> None:
    task = leased(home)
    home.services.manage.cancel(task.id)

    run_out(home)

    assert home.task(task).status is Status.CANCELLED


def test_a_failure_that_meets_a_cancellation_cancels(home: Installation) -> None:
    """The cancellation comes between the worker's look and its write."""
    task = leased(home)
    renew = home.store.renew

    def meanwhile(changes: Any) -> Any:
        home.store.renew = renew  # type: ignore[method-assign]
        home.services.manage.cancel(task.id)
        return renew(changes)

    home.store.renew = meanwhile  # type: ignore[method-assign]

    assert fail(home, task).status is Status.CANCELLED


# -- failed ------------------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_followed_by_another_one_as_the_policy_says(home: Installation) -> None:
    task = leased(home)

    after = fail(home, task)

    assert (after.status, after.run_at) == (Status.SCHEDULED, NOW + 20_000)
    assert (after.attempts[0].error.type, after.attempts[0].error.message) == ("DiskFull", "no room left")
    assert home.services.fetch((), 1) == []
    home.clock.advance(20)
    home.work()
    (again,) = home.services.fetch((), 1)
    assert again.attempt == 2
    assert fail(home, again).status is Status.FAILED


def test_the_worker_may_say_when_the_next_attempt_makes_sense(home: Installation) -> None:
    task = leased(home)

    assert fail(home, task, retry_after=5).run_at == NOW + 5000


def test_without_a_pause_it_stands_in_its_line_at_once(home: Installation) -> None:
    task = leased(home)

    assert fail(home, task, retry_after=0).line == "pull:resize"
    assert len(home.services.fetch((), 1)) == 1


def test_what_would_fail_again_is_not_tried_again(home: Installation) -> None:
    task = leased(home, callback_url="https://example.com/")

    after = fail(home, task, retryable=False)

    assert (after.status, after.error and after.error.type) == (Status.FAILED, "DiskFull")
    assert home.deliver().delivered == 1


def test_failing_twice_is_failing_once(home: Installation) -> None:
    task = leased(home)
    first = fail(home, task)

    assert fail(home, task) == first
    home.clock.advance(20)
    home.work()
    home.services.fetch((), 1)
    assert fail(home, task).status is Status.RUNNING, "in another worker's hands"


def test_who_completed_cannot_fail(home: Installation) -> None:
    task = leased(home)
    complete(home, task, 1)

    with pytest.raises(LeaseLost):
        fail(home, task)
