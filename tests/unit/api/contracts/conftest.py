"""The API over the memory adapters, with the handlers that come with Tasklane."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasklane.ports import Change
from tasklane.registry import load_handlers
from tasklane.task import Status, Task
from tests.unit.api.conftest import Installation, an_installation


@pytest.fixture
def shipped() -> Iterator[Installation]:
    with an_installation(load_handlers()) as installation:
        yield installation


def become(api: Installation, task_id: str, **changes: Any) -> None:
    """Let the record say so, whichever way it came there."""
    task = api.store.get([task_id])[task_id]
    running = task.evolve(status=Status.RUNNING)
    for before, after in ((task, running), (running, running.evolve(**changes))):
        assert api.store.save([Change(before=before, after=after, unchanged=())]) == [True]


def the_task(api: Installation, task_id: str) -> Task:
    return api.store.get([task_id])[task_id]
