"""What the tests of changes by hand share: tasks in every status."""

from typing import Any

import pytest

from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tests.support.builders import NOW, a_task, an_attempt, an_error
from tests.support.installation import Installation
from tests.support.payloads import Nothing

FINAL = [status for status in Status if status.final]
NOT_COMPLETED = [Status.FAILED, Status.CANCELLED, Status.EXPIRED]


@pytest.fixture(autouse=True)
def types(registry: Registry) -> None:
    @registry.task("echo", retry=RetryPolicy(max_attempts=2))
    def echo(payload: Nothing) -> str:
        return "done"

    registry.declare_external("scan")


def kept(home: Installation, task: Task) -> str:
    home.store.put([task])
    return task.id


def an_ended_task(status: Status, **changes: Any) -> Task:
    end = {"status": status, "run": 3, "max_attempts": 3, "finished_at": NOW, "due_at": None, "delete_at": NOW}
    return a_task(**({**end, "error": an_error(), "attempts": (an_attempt(3),), "outcome_at": NOW} | changes))
