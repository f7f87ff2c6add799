"""The state machine: which status may follow which, and that a change cannot be made otherwise."""

import itertools

import pytest

from tasklane.errors import InvalidTransition
from tasklane.ports import Change
from tasklane.task import TRANSITIONS, Status
from tests.support.builders import NOW, a_change, a_running_task, a_task

ALLOWED = {
    ("scheduled", "pending"),
    ("scheduled", "running"),
    ("scheduled", "cancelled"),
    ("scheduled", "expired"),
    ("pending", "running"),
    ("pending", "cancelled"),
    ("pending", "expired"),
    ("running", "pending"),
    ("running", "scheduled"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "expired"),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_a_status_is_followed_only_by_those_that_may_follow_it(before: Status, after: Status) -> None:
    task = a_task(status=before)

    if before is after or (before.value, after.value) in ALLOWED:
        assert a_change(task, status=after).after.status is after
    else:
        with pytest.raises(InvalidTransition, match=f"{before} → {after}"):
            a_change(task, status=after)


def test_every_status_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_a_final_status_is_followed_by_nothing() -> None:
    assert {status for status in Status if status.final} == {
        Status.COMPLETED,
        Status.FAILED,
        Status.CANCELLED,
        Status.EXPIRED,
    }


def test_a_worker_may_claim_what_waits() -> None:
    assert {status for status in Status if status.waiting} == {Status.SCHEDULED, Status.PENDING}


def test_a_change_keeps_the_task() -> None:
    task = a_task()

    with pytest.raises(ValueError, match="keeps the task's id"):
        Change(before=task, after=a_task())


@pytest.mark.parametrize(
    ("now", "held"), [(NOW, True), (NOW + 74_999, True), (NOW + 75_000, False), (NOW + 999_999, False)]
)
def test_a_run_holds_its_task_until_the_lease_ends(now: int, held: object) -> None:
    assert a_running_task().is_held(now) is held
    assert not a_task().is_held(now)
