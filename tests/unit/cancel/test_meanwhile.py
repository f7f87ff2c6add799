"""A task is called off while a sweeper, a worker, another caller or its callback is at it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tasklane.errors import NotNow, Unavailable
from tasklane.message import TaskMessage
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.task import CallbackState, Status
from tests.support.builders import NOW, a_change, a_running_task, a_task
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.unit.cancel.conftest import HOOK, call_off


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


@pytest.mark.parametrize("by_hand", ["cancel", "reschedule", "expiry", "expiry in a worker"])
def test_a_task_that_is_changed_while_it_joins_a_line_does_not_stand_there_for_ever(
    home: Installation, monkeypatch: pytest.MonkeyPatch, by_hand: str
) -> None:
    task = a_task(type="any", due_at=NOW, expires_at=NOW + 1000)
    home.store.put([task])
    home.lanes.send([TaskMessage.of(task)])
    save = home.store.save

    def joins_first(changes: Sequence[Change]) -> list[bool | Unavailable]:
        monkeypatch.undo()
        save([a_change(task, line="limit:one")])
        return save(changes)

    monkeypatch.setattr(home.store, "save", joins_first)
    if by_hand.startswith("expiry"):
        home.clock.advance(2)
        home.sweep() if by_hand == "expiry" else home.work()
        home.sweep()
    elif by_hand == "cancel":
        call_off(home)
    else:
        home.services.manage.reschedule(task.id, priority=5)

    after = home.task(task)
    assert after.line is None
    assert after.status is {"cancel": Status.CANCELLED, "reschedule": Status.PENDING}.get(by_hand, Status.EXPIRED)


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
