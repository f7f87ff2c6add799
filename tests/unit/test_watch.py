"""While a handler runs: its progress is written, its lease renewed, and it hears when the task is taken from it."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import RunLost
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.support.builders import a_change
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for


@pytest.fixture
def quick(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that renews all the time, too."""
    monkeypatch.setattr("tasklane.watch.HEARTBEAT_SECONDS", 0.01)


def ran(home: Installation, registry: Registry, handler: Callable[..., Any], **submission: Any) -> Task:
    registry.task("it")(handler)
    task = home.submit("it", **submission)
    home.work()
    return home.task(task)


# -- progress ----------------------------------------------------------------------------------------------------------


def test_the_last_word_on_progress_is_kept_with_the_outcome(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        for step in range(5):
            context.progress(step / 10, f"step {step}")

    task = ran(home, registry, steps)

    assert task.progress is not None
    assert (task.progress.fraction, task.progress.message) == (1.0, "step 4")
    assert home.store.renewed == []


def test_a_message_that_is_no_text_is_said_to_be_none(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        nonsense: Any = {"a": 1}
        context.progress(0.5, nonsense)

    task = ran(home, registry, steps, max_attempts=1)

    assert task.error is not None
    assert (task.error.type, task.error.message) == (
        "TypeError",
        "the message that goes with progress is a str, not dict",
    )


def test_progress_is_written_while_the_handler_runs_but_not_each_word_of_it(
    home: Installation, registry: Registry
) -> None:
    words = 0

    def steps(payload: Nothing, context: TaskContext) -> None:
        def said() -> object:
            nonlocal words
            words += 1
            context.progress(0.5, f"word {words}")
            return home.store.only().progress

        wait_for(said)

    ran(home, registry, steps)

    assert len(home.store.renewed) == 1
    assert words > 10


@pytest.mark.usefixtures("quick")
def test_a_thousand_words_on_progress_are_a_few_writes(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    news_seconds = 0.25
    monkeypatch.setattr("tasklane.watch.NEWS_SECONDS", news_seconds)
    monkeypatch.setattr("tasklane.watch.HEARTBEAT_SECONDS", 60.0)

    def steps(payload: Nothing, context: TaskContext) -> None:
        for step in range(1000):
            context.progress(step / 1000)
            time.sleep(0.001)

    begun = time.monotonic()
    ran(home, registry, steps)
    took = time.monotonic() - begun

    assert 1 <= len(home.store.renewed) <= took / news_seconds


@pytest.mark.usefixtures("quick")
def test_progress_that_could_not_be_written_is_not_lost(home: Installation, registry: Registry) -> None:
    home.store.refuse("renew", 99)

    def half(payload: Nothing, context: TaskContext) -> None:
        context.progress(1.0, "all but the end")
        wait_for(lambda: home.store.renewed)

    task = ran(home, registry, half)

    assert task.progress is not None
    assert task.progress.message == "all but the end"


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_progress_is_a_fraction(home: Installation, registry: Registry, fraction: float) -> None:
    def wrong(payload: Nothing, context: TaskContext) -> None:
        with pytest.raises(ValueError, match="from 0 to 1"):
            context.progress(fraction)

    assert ran(home, registry, wrong).status is Status.COMPLETED


def test_a_sentence_about_progress_can_always_be_written(home: Installation, registry: Registry) -> None:
    def odd(payload: Nothing, context: TaskContext) -> None:
        context.progress(0.333333, "half a \ud800 character" + "x" * 500)

    task = ran(home, registry, odd)

    assert task.progress is not None
    assert task.progress.message is not None
    assert task.progress.message.startswith("half a ? character")
    assert len(task.progress.message) == 200


# -- lease -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_long_run_renews_its_lease(home: Installation, registry: Registry) -> None:
    def long(payload: Nothing) -> None:
        first = home.store.only().lease_until
        assert first is not None
        for _ in range(3):
            home.clock.advance(50)
            wait_for(lambda: (home.store.only().lease_until or 0) > home.clock.now() + 50_000)
            assert home.sweep().changed == 0, "the sweeper has no reason to take it for lost"

    task = ran(home, registry, long, timeout_seconds=900)

    assert (task.status, task.run, task.attempts) == (Status.COMPLETED, 1, ())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_run_that_was_lost_is_told_and_writes_nothing_more(home: Installation, registry: Registry, kind: str) -> None:
    told = threading.Event()

    def plain(payload: Nothing, context: TaskContext) -> None:
        home.store.save([a_change(home.store.only(), status=Status.CANCELLED)])

        def lost() -> bool:
            try:
                context.raise_if_cancelled()
            except RunLost:
                told.set()
            return told.is_set()

        wait_for(lost)

    async def waiting(payload: Nothing) -> None:
        home.store.save([a_change(home.store.only(), status=Status.CANCELLED)])
        try:
            await asyncio.sleep(20)
        finally:
            told.set()

    task = ran(home, registry, plain if kind == "plain" else waiting)

    assert told.wait(10)
    assert (task.status, task.attempts) == (Status.CANCELLED, ())
