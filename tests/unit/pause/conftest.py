"""What the tests of pauses share: two task types, and how their tasks stand."""

import pytest

from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.support.installation import Installation
from tests.support.payloads import Anything


@pytest.fixture(autouse=True)
def _types(registry: Registry) -> None:
    @registry.task("note")
    def note(payload: Anything) -> str:
        return "noted"

    @registry.task("other")
    def other(payload: Anything) -> str:
        return "other"


def statuses(home: Installation, *tasks: Task) -> list[Status]:
    return [home.task(task).status for task in tasks]
