"""An installation with the task types that come with Tasklane."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasklane.registry import load_handlers
from tasklane.task import Task
from tests.support.installation import Installation, an_installation


@pytest.fixture
def home() -> Iterator[Installation]:
    home = an_installation(registry=load_handlers())
    yield home
    home.close()


def ran(home: Installation, kind: str, payload: dict[str, Any]) -> Task:
    task = home.submit(kind, payload)
    home.work()
    return home.task(task)
