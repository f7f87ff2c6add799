"""A heartbeat renews the lease, shows what was done, and hears that the task was called off."""

from typing import Any

import pytest

from tasklane.errors import DocumentTooLarge
from tasklane.lease import MAX_STATE, Holder
from tasklane.task import CallbackEvent, Progress, Status
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.leases.conftest import complete, fail, leased, run_out

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


def test_a_lease_that_was_asked_for_is_as_long_after_each_heartbeat(home: Installation) -> None:
    task = leased(home)
    holder = Holder.of(task, lease_seconds=600)
    for _ in range(3):
        home.clock.advance(50)
        home.services.leases.heartbeat(task.id, holder)

    assert home.task(task).lease_until == NOW + 150_000 + 600_000


def test_a_lease_that_is_made_shorter_ends_sooner(home: Installation) -> None:
    task = leased(home)
    home.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=600)
    home.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=5)

    home.clock.advance(6)
    home.work()

    assert home.task(task).status is not Status.RUNNING


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
