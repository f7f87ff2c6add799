"""A task that is called off, whatever its worker, the sweeper and its callback do meanwhile."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue, NotNow, Unavailable
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW, a_change, a_running_task, a_task
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for

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


@pytest.mark.usefixtures("quick")
def test_a_plain_handler_hears_of_it_and_the_task_ends_cancelled(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        assert call_off(home).status is Status.RUNNING
        wait_for(context.raise_if_cancelled)

    assert_cancelled_once(home, ran(home, registry, plain))


@pytest.mark.usefixtures("quick")
def test_an_async_handler_is_interrupted_and_cleans_up(home: Installation, registry: Registry) -> None:
    cleaned_up = threading.Event()

    async def waits(payload: Nothing) -> None:
        try:
            call_off(home)
            await asyncio.sleep(60)
        finally:
            cleaned_up.set()

    assert_cancelled_once(home, ran(home, registry, waits))
    assert cleaned_up.wait(10)


@pytest.mark.usefixtures("quick")
def test_its_neighbours_are_not_disturbed(home: Installation, registry: Registry) -> None:
    off = threading.Event()

    @registry.task("off")
    async def waits(payload: Nothing) -> None:
        off.set()
        await asyncio.sleep(60)

    @registry.task("neighbour")
    async def neighbour(payload: Nothing) -> str:
        while home.task(called_off).status is not Status.CANCELLED:
            if off.is_set():
                off.clear()
                home.services.manage.cancel(called_off.id)
            await asyncio.sleep(0.005)
        return "undisturbed"

    called_off, other = home.submit("off"), home.submit("neighbour")
    home.work()

    assert home.result(other) == "undisturbed"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [OSError("while letting go"), Continue({"page": 2})])
def test_a_handler_that_was_told_and_ends_in_any_error_has_let_go(
    home: Installation, registry: Registry, error: Exception
) -> None:
    def plain(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        wait_for(lambda: context.cancelled)
        raise error

    assert_cancelled_once(home, ran(home, registry, plain))


@pytest.mark.usefixtures("quick")
def test_a_handler_that_was_told_and_overruns_is_cancelled(home: Installation, registry: Registry) -> None:
    release = threading.Event()

    @registry.task("it")
    def deaf(payload: Nothing, context: TaskContext) -> None:
        call_off(home)
        wait_for(lambda: context.cancelled)
        release.wait(10)

    task = home.submit("it", callback_url=HOOK)
    home.work(seconds=3.5)
    release.set()

    assert_cancelled_once(home, home.task(task))


@pytest.mark.parametrize("error", [OSError("by chance"), Continue({"page": 2}), Continue(after=3600)])
def test_a_handler_that_ends_before_it_was_told_does_not_begin_again(
    home: Installation, registry: Registry, error: Exception
) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        raise error

    assert_cancelled_once(home, ran(home, registry, plain))


def test_a_handler_that_returns_before_it_was_told_has_completed(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> str:
        call_off(home)
        return "done"

    task = ran(home, registry, plain)

    assert (task.status, home.result(task)) == (Status.COMPLETED, "done")
    with pytest.raises(NotNow, match="completed already"):
        call_off(home)


def test_the_last_failed_attempt_stands_if_its_handler_was_not_told(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        raise OSError("by chance")

    assert ran(home, registry, plain, max_attempts=1).status is Status.FAILED


def test_if_even_that_cannot_be_looked_up_the_sweeper_cancels_it(home: Installation, registry: Registry) -> None:
    def plain(payload: Nothing) -> None:
        call_off(home)
        home.store.refuse("get")
        raise OSError("by chance")

    task = ran(home, registry, plain)
    assert task.status is Status.RUNNING

    home.clock.advance(300)
    home.sweep()

    assert_cancelled_once(home, home.task(task))


def test_a_task_whose_worker_is_lost_is_cancelled_by_the_sweeper(home: Installation) -> None:
    task = a_running_task(due_at=NOW + 180_000)
    home.store.put([task])
    call_off(home)

    home.clock.advance(181)
    home.sweep()

    cancelled = home.task(task)
    assert (cancelled.status, cancelled.attempts) == (Status.CANCELLED, ())


def test_a_task_that_is_called_off_while_the_sweeper_finds_it_lost_is_cancelled(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_running_task(due_at=NOW)
    home.store.put([task])
    home.clock.advance(300)
    save = home.store.save

    def called_off_first(changes: Sequence[Change]) -> list[bool | Unavailable]:
        monkeypatch.undo()
        save([a_change(task, cancel_requested=True)])
        return save(changes)

    monkeypatch.setattr(home.store, "save", called_off_first)
    home.sweep()
    home.sweep()

    assert home.task(task).status is Status.CANCELLED
    assert home.lanes.sent == []


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each of these calls gives or raises, all begun together."""
    ready, answers = threading.Barrier(len(calls)), list[Any]()

    def run(call: Callable[[], Any]) -> None:
        ready.wait(10)
        try:
            answers.append(call())
        except NotNow as exc:
            answers.append(exc)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("round_", range(5))
def test_of_many_who_call_a_waiting_task_off_one_succeeds(home: Installation, round_: int) -> None:
    del round_
    task = a_task(type="any")
    home.store.put([task.evolve(callback=None)])

    answers = at_once(*[lambda: call_off(home)] * 6)

    assert sorted(type(answer).__name__ for answer in answers) == ["NotNow"] * 5 + ["Task"]


def test_a_task_that_is_called_off_and_claimed_at_once_is_one_or_the_other(
    home: Installation, registry: Registry
) -> None:
    started: list[int] = []

    @registry.task("it")
    def it(payload: Nothing) -> None:
        started.append(1)

    for _ in range(20):
        task = home.submit("it")
        started.clear()
        answers = at_once(lambda task=task: home.services.manage.cancel(task.id), home.work)  # type: ignore[misc]
        status = home.task(task).status
        assert status is (Status.COMPLETED if started else Status.CANCELLED), answers


def test_its_callback_is_told_under_another_id_each_time_it_is_called_off(
    home: Installation, registry: Registry
) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> str:
        return "done"

    task = home.submit("it", callback_url=HOOK)
    for _ in range(2):
        home.services.manage.cancel(task.id)
        home.deliver()
        home.services.manage.retry(task.id)
    home.work()
    home.deliver()

    ids = [headers["webhook-id"] for _, _, headers in home.http.posted]
    assert len(set(ids)) == 3
    assert all(one.startswith(task.id) for one in ids)
    done = home.task(task)
    assert (done.status, done.attempt) == (Status.COMPLETED, 1)
    assert done.callback is not None
    assert (done.callback.state, len(done.callback.history)) == (CallbackState.DELIVERED, 3)


def test_a_try_that_is_under_way_says_nothing_about_the_next_outcome(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.task("it")
    def it(payload: Nothing) -> str:
        return "done"

    task = home.submit("it", callback_url=HOOK)
    home.services.manage.cancel(task.id)
    post = home.http.post

    def retried_meanwhile(*args: Any) -> Any:
        home.services.manage.retry(task.id)
        return post(*args)

    with monkeypatch.context() as patch:
        patch.setattr(home.http, "post", retried_meanwhile)
        home.deliver()

    waiting = home.task(task)
    assert waiting.callback is not None
    assert (waiting.status, waiting.callback.state) == (Status.PENDING, CallbackState.WAITING)
    home.work()
    home.deliver()
    assert len({headers["webhook-id"] for _, _, headers in home.http.posted}) == 2
