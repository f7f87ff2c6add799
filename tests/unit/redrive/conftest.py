"""What the tests of redrives share: tasks with dead letters, and the redrive of a lane."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tasklane.errors import NonRetryable, Unavailable
from tasklane.message import TaskMessage
from tasklane.ports import Change
from tasklane.redrive import RedriveReport
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Task
from tests.support.builders import a_message
from tests.support.installation import Installation
from tests.support.payloads import Nothing

LANE = 3
POISON = "written by somebody else"


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.task("echo", retry=RetryPolicy(max_attempts=2))
    def echo(payload: Nothing) -> int:
        return 55

    @registry.task("fail")
    def fail(payload: Nothing) -> None:
        raise NonRetryable("no such account")

    registry.declare_external("resize")
    return registry


def for_ever() -> float:
    return 1.0


def bury(home: Installation, *tasks: Task, **message: Any) -> None:
    """Keep these tasks, and their messages as dead letters."""
    home.store.put(tasks)
    for task in tasks:
        home.dead_letters.send(LANE, replace(a_message(task), **message).to_json(), 0)


def redrive(home: Installation, limit: int = 1000, *, reopen: bool = False) -> RedriveReport:
    return home.services.redrive.lane(LANE, limit=limit, remaining=for_ever, reopen=reopen)


def sent(home: Installation, lane: int = LANE) -> list[TaskMessage]:
    return [TaskMessage.from_json(one.body) for one in home.queues.receive(lane, 100, 0)]


def left(home: Installation, lane: int = LANE) -> list[str]:
    """Bodies that may be received from the dead-letter queue."""
    return [one.body for one in home.dead_letters.receive(lane, 100, 0)]


@pytest.fixture
def overtaken(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets somebody else do something just before each of the next writes."""

    def by(other: Callable[[], object]) -> None:
        save = home.store.save

        def first_other(changes: Sequence[Change]) -> list[bool | Unavailable]:
            monkeypatch.setattr(home.store, "save", save)
            other()
            return save(changes)

        monkeypatch.setattr(home.store, "save", first_other)

    return by
