"""What the tests of the worker share: tasks that are there to be run, and how long a test waits for them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tasklane.execute import BatchReport
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.starter import REPORT_RESERVE_SECONDS
from tasklane.task import Task
from tests.support.builders import a_task
from tests.support.installation import Installation
from tests.support.payloads import Anything

PATIENCE = 10.0
SHORT = REPORT_RESERVE_SECONDS + 0.05
"""An invocation that leaves a handler a twentieth of a second."""


class Numbered(Anything):
    n: int = 0


@pytest.fixture
def registry(registry: Registry) -> Registry:
    @registry.task("quick")
    def quick(payload: Anything) -> str:
        return "done"

    return registry


def ran(home: Installation, registry: Registry, handler: Callable[..., Any], **submission: Any) -> Task:
    """The task after one attempt by this handler."""
    registry.task("it")(handler)
    task = home.submit("it", {"n": 7}, **submission)
    home.work()
    return home.task(task)


def lambda_of(value: Any) -> Callable[..., Any]:
    def give(payload: Anything) -> Any:
        return value

    return give


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often something is tried with patience, which takes no time here."""
    pauses = (0.0, 0.0)
    monkeypatch.setattr("tasklane.save.PAUSES", pauses)
    return len(pauses) + 1


def execute(home: Installation, messages: Sequence[TaskMessage], seconds: float = 900) -> BatchReport:
    return home.services.execute(messages, lambda: seconds)


def kept(home: Installation, count: int = 3, **fields: Any) -> list[Task]:
    tasks = [a_task(**({"type": "quick"} | fields)) for _ in range(count)]
    home.store.put(tasks)
    return tasks
