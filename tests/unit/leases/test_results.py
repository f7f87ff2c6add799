"""The result of a worker that holds its task is the task's; of a late one, while nobody else has the task."""

from typing import Any

import pytest

from tasklane.document import MAX_DOCUMENT
from tasklane.errors import DocumentTooLarge, LeaseLost, TaskNotFound, Unavailable
from tasklane.lease import Failure, Holder
from tasklane.registry import Registry
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.leases.conftest import complete, fail, leased, run_out

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

    assert (after.status, home.result(task), after.attempt) == (Status.COMPLETED, "late", 1)
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
