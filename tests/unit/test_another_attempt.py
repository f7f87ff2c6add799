"""A policy of the task's own, a change by hand: what leads to another attempt, and until when."""

import math
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue, RetryLater
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.support.payloads import Nothing

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


def test_the_first_attempt_may_begin_at_any_age(home: Installation, registry: Registry) -> None:
    retry = {"pauses": [0], "max_age_seconds": 0}
    task, waited = pauses(home, registry, RetryPolicy(), delay_seconds=600, max_attempts=9, retry=retry)

    assert waited == [600]
    assert (task.status, len(task.attempts)) == (Status.FAILED, 1)


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
