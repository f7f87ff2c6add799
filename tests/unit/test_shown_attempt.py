"""Which attempt a task is shown to be in, also between two of its runs."""

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tasklane.view import shown_attempt
from tests.support.installation import Installation
from tests.support.payloads import Nothing


def shown(home: Installation, task: Task) -> int:
    return shown_attempt(home.task(task))


def test_between_its_runs_the_attempt_that_a_task_is_in_is_shown(home: Installation, registry: Registry) -> None:
    """The record counts an attempt when its last run begins; callers see one attempt all the while."""
    runs: list[int] = []

    @registry.task("it", retry=RetryPolicy.fixed(10, max_attempts=3))
    def goes_on(payload: Nothing, context: TaskContext) -> str:
        runs.append(context.attempt)
        match len(runs):
            case 1 | 2 | 4:
                raise Continue(after=10)
            case 3:
                raise OSError("busy")
        return "done"

    task = home.submit("it")
    attempts = [shown(home, task)]
    for _ in range(5):
        home.work()
        attempts.append(shown(home, task))
        home.clock.advance(10)

    assert runs == [1, 1, 1, 2, 2]
    assert attempts == [0, 1, 1, 1, 2, 2]
    assert home.task(task).status is Status.COMPLETED


def test_a_task_that_is_called_off_between_its_runs_has_been_tried(home: Installation, registry: Registry) -> None:
    @registry.task("it")
    def goes_on(payload: Nothing) -> None:
        raise Continue(after=60)

    task = home.submit("it")
    home.work()
    home.services.manage.cancel(task.id)

    assert (home.task(task).status, shown(home, task)) == (Status.CANCELLED, 1)
    home.services.manage.retry(task.id)
    assert shown(home, task) == 0


@pytest.mark.parametrize("by_hand", ["reschedule", "nothing"])
def test_a_task_that_waits_for_its_first_attempt_shows_none(
    home: Installation, registry: Registry, by_hand: str
) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> None:
        """Not begun."""

    task = home.submit("it", delay_seconds=60)
    if by_hand == "reschedule":
        home.services.manage.reschedule(task.id, priority=5)

    assert shown(home, task) == 0
