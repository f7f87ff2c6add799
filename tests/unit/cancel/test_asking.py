"""A handler that would hear that its task was called off is told soon, by a read; one that would not costs none."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from tasklane.context import TaskContext
from tasklane.errors import TaskCancelled
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.builders import a_change
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from tests.unit.cancel.conftest import assert_cancelled_once, call_off, ran

LOOK_SECONDS = 0.05
QUESTIONS: dict[str, Callable[[TaskContext], object]] = {
    "raise_if_cancelled": TaskContext.raise_if_cancelled,
    "cancelled": lambda context: context.cancelled,
    "progress without anything new": lambda context: context.progress(0.5),
    "the same checkpoint": lambda context: context.checkpoint({"page": 5}),
}

pytestmark = pytest.mark.usefixtures("attentive")


@pytest.fixture
def attentive(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks quickly, and never renews a run that has no news."""
    monkeypatch.setattr("tasklane.watch.LOOK_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr("tasklane.watch.HEARTBEAT_SECONDS", 600.0)
    monkeypatch.setattr("tasklane.watch.NEWS_SECONDS", 600.0)


def ask_for(seconds: float, context: TaskContext) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        context.raise_if_cancelled()
        time.sleep(0.001)


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_a_handler_that_asks_hears_of_it_without_a_write(home: Installation, registry: Registry, question: str) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        wait_for(lambda: QUESTIONS[question](context))
        raise TaskCancelled("told")

    assert_cancelled_once(home, ran(home, registry, plain))
    assert home.store.renewed == []


def test_an_async_handler_is_interrupted_soon_though_it_never_asks(home: Installation, registry: Registry) -> None:
    async def waits(payload: Nothing) -> None:
        call_off(home)
        await asyncio.sleep(60)

    assert_cancelled_once(home, ran(home, registry, waits))
    assert home.store.renewed == []


def test_a_plain_handler_that_says_nothing_costs_no_read(home: Installation, registry: Registry) -> None:
    reads = 0

    def plain(payload: Nothing) -> None:
        nonlocal reads
        before = len(home.store.got)
        time.sleep(10 * LOOK_SECONDS)
        reads = len(home.store.got) - before

    assert ran(home, registry, plain).status is Status.COMPLETED
    assert reads == 0


def test_an_async_handler_that_is_soon_done_costs_no_read(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.watch.LOOK_SECONDS", 60.0)
    reads = -1

    async def soon_done(payload: Nothing) -> None:
        nonlocal reads
        before = len(home.store.got)
        await asyncio.sleep(0.2)
        reads = len(home.store.got) - before

    assert ran(home, registry, soon_done).status is Status.COMPLETED
    assert reads == 0


def test_the_questions_of_a_whole_batch_are_one_read_now_and_then(home: Installation, registry: Registry) -> None:
    together = threading.Barrier(3)

    @registry.task("it")
    def asks(payload: Nothing, context: TaskContext) -> None:
        together.wait(30)
        ask_for(20 * LOOK_SECONDS, context)

    tasks = [home.submit("it") for _ in range(3)]
    home.store.got.clear()
    begun = time.monotonic()
    home.work()
    took = time.monotonic() - begun

    assert {task.id for task in tasks} in map(set, home.store.got)
    assert len(home.store.got) <= took / LOOK_SECONDS + 2, "one more for each that begins to ask after the others"
    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}


def test_an_old_question_is_forgotten(home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasklane.watch.ASKING_SECONDS", 2 * LOOK_SECONDS)
    reads = 0

    def asks_once(payload: Nothing, context: TaskContext) -> None:
        nonlocal reads
        before = len(home.store.got)
        context.raise_if_cancelled()
        time.sleep(20 * LOOK_SECONDS)
        reads = len(home.store.got) - before

    ran(home, registry, asks_once)

    assert reads <= 3


def test_a_table_that_is_away_for_a_while_disturbs_nobody(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        home.store.refuse("get", 3)
        wait_for(context.raise_if_cancelled)

    assert_cancelled_once(home, ran(home, registry, plain))
    assert home.store.renewed == []


def test_what_is_said_of_another_run_is_not_told_to_this_one(home: Installation, registry: Registry) -> None:
    undisturbed = threading.Event()

    def plain(payload: Nothing, context: TaskContext) -> None:
        home.store.save([a_change(home.store.only(), run=2, cancel_requested=True)])
        before = len(home.store.got)

        def looked_twice() -> bool:
            context.raise_if_cancelled()
            return len(home.store.got) > before + 1

        wait_for(looked_twice)
        undisturbed.set()

    task = ran(home, registry, plain)

    assert undisturbed.is_set()
    assert (task.status, task.run, task.cancel_requested) == (Status.RUNNING, 2, True)
