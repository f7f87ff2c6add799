"""What the tests of the sweeper share: tasks that it may find."""

import pytest

from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Task
from tests.support.installation import Installation
from tests.support.payloads import Nothing

RECOVERY = 180


@pytest.fixture(autouse=True)
def types(registry: Registry) -> None:
    @registry.task("echo", retry=RetryPolicy(base_seconds=10, cap_seconds=10))
    def echo(payload: Nothing) -> None: ...

    registry.declare_external("scan")


def kept(home: Installation, task: Task) -> Task:
    home.store.put([task])
    return task
