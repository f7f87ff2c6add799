"""What the tests of leases share: a task that an external worker holds, and what the worker may say of it."""

from typing import Any

import pytest

from tasklane.lease import Failure, Holder
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Task
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
