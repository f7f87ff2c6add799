"""Removing tasks by hand: what somebody is at is left alone, and what is gone stays gone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tasklane.errors import TaskNotFound, Unavailable
from tasklane.registry import Registry
from tasklane.remove import Reason
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_running_task, a_task
from tests.support.installation import Installation, an_installation
from tests.support.payloads import Anything

runs: list[str] = []


def a_registry() -> Registry:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything) -> dict[str, Any]:
        """Give it back."""
        runs.append("echo")
        return payload.model_dump()

    return registry


@pytest.fixture
def home() -> Iterator[Installation]:
    runs.clear()
    installation = an_installation(registry=a_registry())
    yield installation
    installation.close()


def test_a_task_that_waits_is_removed_and_its_late_message_changes_nothing(home: Installation) -> None:
    task = home.submit(callback_url="https://hooks.example.com/")

    done = home.services.remove_tasks([task.id])

    assert (done.removed, done.gone, done.left) == ((task.id,), (), ())
    home.work()
    home.clock.advance(3600)
    home.sweep()
    home.deliver()
    assert runs == []
    assert home.store.get([task.id]) == {}
    assert home.http.posted == []


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_a_task_in_nobodys_hands_is_removed(home: Installation, status: Status) -> None:
    task = a_task(status=status, run_at=NOW + 1 if status is Status.SCHEDULED else None)
    home.store.put([task])

    assert home.services.remove_tasks([task.id]).removed == (task.id,)
    with pytest.raises(TaskNotFound):
        home.services.read(task.id)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (a_running_task(), Reason.RUNNING),
        (a_running_task(cancel_requested=True), Reason.RUNNING),
        (a_completed_task(callback=a_pending_callback()), Reason.CALLBACK),
    ],
)
def test_a_task_that_somebody_is_at_is_left_alone_and_named(home: Installation, task: Task, reason: Reason) -> None:
    other = a_task()
    home.store.put([task, other])

    done = home.services.remove_tasks([task.id, other.id])

    assert (done.removed, done.left) == ((other.id,), ((task, reason),))
    assert home.task(task) == task


@pytest.mark.parametrize("state", [CallbackState.DELIVERED, CallbackState.UNDELIVERED])
def test_a_task_whose_callback_is_settled_is_removed(home: Installation, state: CallbackState) -> None:
    task = a_completed_task(callback=a_pending_callback(state=state))
    home.store.put([task])

    assert home.services.remove_tasks([task.id]).removed == (task.id,)


def test_the_same_request_again_removes_nothing_more(home: Installation) -> None:
    first, second, other = home.submit(), home.submit(), home.submit()
    wanted = [first.id, second.id, first.id, "unknown"]

    done = home.services.remove_tasks(wanted)
    again = home.services.remove_tasks(wanted)

    assert (sorted(done.removed), done.gone) == (sorted([first.id, second.id]), ("unknown",))
    assert (again.removed, sorted(again.gone)) == ((), sorted(set(wanted)))
    assert list(home.store.get([first.id, second.id, other.id])) == [other.id]


def test_a_task_whose_retention_has_ended_counts_as_gone(home: Installation) -> None:
    task = a_completed_task(delete_at=NOW // 1000)
    home.store.put([task])

    assert home.services.remove_tasks([task.id]).gone == (task.id,)


def before_the_removal(home: Installation, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let somebody do something between the read and the removal, once."""
    real, acts = home.store.remove, [act]

    def remove(tasks: Sequence[Task]) -> list[bool | Unavailable]:
        if acts:
            acts.pop()()
        return real(tasks)

    monkeypatch.setattr(home.store, "remove", remove)


def test_a_worker_that_is_faster_keeps_its_task(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    task, other = home.submit(), home.submit()
    running = task.evolve(status=Status.RUNNING, run=1)

    def claim() -> None:
        home.store._tasks[task.id] = running

    before_the_removal(home, monkeypatch, claim)

    done = home.services.remove_tasks([task.id, other.id])

    assert (done.removed, done.left) == ((other.id,), ((running, Reason.RUNNING),))


def test_a_task_that_ends_meanwhile_is_removed_as_it_is_then(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = home.submit()
    before_the_removal(home, monkeypatch, home.work)

    assert home.services.remove_tasks([task.id]).removed == (task.id,)
    assert home.store.get([task.id]) == {}


def test_a_table_that_does_not_answer_is_said_and_the_request_may_be_repeated(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, other = home.submit(), home.submit()
    real, troubles = home.store.remove, [Unavailable("throttled")]

    def remove(tasks: Sequence[Task]) -> list[bool | Unavailable]:
        return [troubles.pop(), *real(tasks[1:])] if troubles else real(tasks)

    monkeypatch.setattr(home.store, "remove", remove)
    with pytest.raises(Unavailable):
        home.services.remove_tasks([task.id, other.id])

    done = home.services.remove_tasks([task.id, other.id])

    assert (done.removed, done.gone) == ((task.id,), (other.id,))


def test_tasks_that_others_change_all_the_time_are_given_up(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = home.submit()
    monkeypatch.setattr(home.store, "remove", lambda tasks: [False] * len(tasks))

    with pytest.raises(Unavailable, match="being changed"):
        home.services.remove_tasks([task.id])


def test_an_idempotency_key_is_free_again(home: Installation) -> None:
    fields: dict[str, Any] = {"type": "echo", "payload": {}, "idempotency_key": "k", "request_hash": "h"}
    first = home.submitted(**fields)
    home.services.remove_tasks([first.task.id])
    home.clock.advance(1)

    again = home.submitted(**fields)

    assert (again.replayed, again.task.id) == (False, first.task.id)
