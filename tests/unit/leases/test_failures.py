"""A worker that fails: another attempt as the policy says, or the end."""

import pytest

from tasklane.errors import LeaseLost
from tasklane.task import Status
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.leases.conftest import complete, fail, leased


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


def test_a_task_may_name_the_errors_that_are_not_worth_another_attempt(home: Installation) -> None:
    task = leased(home, retry={"no_retry_on": ["DiskFull"]})

    assert fail(home, task).status is Status.FAILED


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
