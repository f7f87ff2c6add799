"""What the tests of fetching share: task types for external workers, and a worker that fetches."""

import pytest

from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Task
from tests.support.installation import Installation


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.declare_external("resize", retry=RetryPolicy.fixed(10), timeout_seconds=30)
    registry.declare_external("scan", retry=RetryPolicy.fixed(0))
    return registry


def fetch(home: Installation, *types: str, limit: int = 1, seconds: int | None = None) -> list[Task]:
    return home.services.fetch(types, limit, seconds)
