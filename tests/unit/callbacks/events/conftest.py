"""What the tests of events share: what was told, and tasks whose handlers let it be told."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, Task
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from tests.unit.callbacks.conftest import URL

BOTH = (CallbackEvent.RUNNING, CallbackEvent.PROGRESS)


def told(home: Installation) -> list[dict[str, Any]]:
    """What was posted, in the order in which it was."""
    return [json.loads(body) for _, body, _ in home.http.posted]


def in_short(home: Installation) -> list[tuple[str, int]]:
    return [(body["type"], body["sequence"]) for body in told(home)]


def deliver_all(home: Installation, wanted: int) -> None:
    """Deliver what comes until so much was posted."""

    def enough() -> bool:
        home.deliver()
        return len(home.http.posted) >= wanted

    wait_for(enough)


def stepping(home: Installation, fractions: Sequence[float] = (0.25, 0.5)) -> Callable[..., str]:
    """A handler that lets each of its words be told before it says the next."""

    def steps(payload: Nothing, context: TaskContext) -> str:
        before = len(home.http.posted)
        deliver_all(home, before + 1)
        for number, fraction in enumerate(fractions, start=2):
            context.progress(fraction, f"step {number}")
            deliver_all(home, before + number)
        return "done"

    return steps


@pytest.fixture
def running(home: Installation, registry: Registry) -> Iterator[Task]:
    """A task that runs on and on, whose beginning is on its way to be told."""
    let_go = threading.Event()

    def on_and_on(payload: Nothing) -> None:
        let_go.wait(20)

    def nothing(payload: Nothing) -> None:
        """Runs never: it is cancelled before."""

    registry.task("long")(on_and_on)
    registry.task("nothing", priority=1)(nothing)
    task = home.submit("long", callback_url=URL, callback_events=BOTH)
    worker = threading.Thread(target=home.work)
    worker.start()
    wait_for(lambda: home.queues.depth(CALLBACKS))
    yield task
    let_go.set()
    worker.join()
