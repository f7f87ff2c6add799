"""What the tests of calling off share: a task that is called off while it runs, and how it must have ended."""

from collections.abc import Callable
from typing import Any

import pytest

from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status, Task
from tests.support.installation import CALLBACKS, Installation

HOOK = "https://hooks.example.com/"


@pytest.fixture
def quick(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that renews all the time, too."""
    monkeypatch.setattr("tasklane.watch.HEARTBEAT_SECONDS", 0.01)


def ran(home: Installation, registry: Registry, handler: Callable[..., Any], **submission: Any) -> Task:
    registry.task("it", retry=RetryPolicy.fixed(60))(handler)
    task = home.submit("it", callback_url=HOOK, **submission)
    home.work()
    return home.task(task)


def call_off(home: Installation) -> Task:
    return home.services.manage.cancel(home.store.only().id)


def assert_cancelled_once(home: Installation, task: Task) -> None:
    assert task.status is Status.CANCELLED
    assert (task.cancel_requested, task.lease_until, task.outcome_at) == (False, None, task.finished_at)
    assert home.queues.depth(CALLBACKS) == 1
    home.deliver()
    assert [b'"type":"task.cancelled"' in body for _, body, _ in home.http.posted] == [True]
    home.clock.advance(86_400)
    assert (home.sweep().sent, home.work().outcomes) == (0, ()), "it never begins again"
