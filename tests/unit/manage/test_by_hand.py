"""What people do to tasks that exist: read them, call them off, put them off, send their callbacks again."""

from typing import Any

import pytest

from tasklane.errors import InvalidRequest, NotNow, TaskNotFound, Unavailable
from tasklane.task import CallbackState, Status, Task
from tasklane.timing import MAX_DELAY_MS
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_running_task, a_task
from tests.support.installation import CALLBACKS, Installation
from tests.unit.manage.conftest import FINAL, an_ended_task, kept

# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_task_is_read_as_it_is_now(home: Installation) -> None:
    task = home.submit("echo")

    assert home.services.read(task.id) == task


def test_a_task_that_never_was_is_not_found(home: Installation) -> None:
    with pytest.raises(TaskNotFound, match="'nobody'") as caught:
        home.services.read("nobody")
    assert caught.value.task_id == "nobody"


def test_a_task_whose_retention_has_ended_is_not_found_though_it_is_still_there(home: Installation) -> None:
    task_id = kept(home, a_completed_task(delete_at=NOW // 1000 + 10))
    assert home.services.read(task_id).id == task_id

    home.clock.advance(10)

    with pytest.raises(TaskNotFound):
        home.services.read(task_id)


def test_a_table_that_does_not_answer_is_not_a_missing_task(home: Installation) -> None:
    home.store.refuse("get")

    with pytest.raises(Unavailable):
        home.services.read("any")


# -- calling off -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"delay_seconds": 3600}])
def test_a_waiting_task_is_cancelled_at_once(home: Installation, fields: dict[str, Any]) -> None:
    task = home.submit("echo", callback_url="https://hooks.example.com/", **fields)

    cancelled = home.services.manage.cancel(task.id)

    assert home.task(task) == cancelled
    assert (cancelled.status, cancelled.finished_at, cancelled.outcome_at) == (Status.CANCELLED, NOW, NOW)
    assert home.queues.depth(CALLBACKS) == 1
    home.clock.advance(4000)
    assert len(home.work().outcomes) == 0
    assert home.task(task).run == 0


def test_a_running_task_is_asked_to_end(home: Installation) -> None:
    task = a_running_task()
    kept(home, task)

    asked = home.services.manage.cancel(task.id)

    assert asked == task.evolve(cancel_requested=True)
    writes = len(home.store.saved)
    assert home.services.manage.cancel(task.id) == asked
    assert len(home.store.saved) == writes, "there is nothing more to write"


@pytest.mark.parametrize("status", FINAL)
def test_a_final_task_cannot_be_called_off(home: Installation, status: Status) -> None:
    with pytest.raises(NotNow, match=f"is {status} already") as caught:
        home.services.manage.cancel(kept(home, an_ended_task(status)))
    assert caught.value.status == status


# -- putting off -------------------------------------------------------------------------------------------------------


def test_a_waiting_task_gets_another_start(home: Installation) -> None:
    task = home.submit("echo")

    later = home.services.manage.reschedule(task.id, run_at=NOW + 60_000)

    assert (later.status, later.run_at, later.attempt) == (Status.SCHEDULED, NOW + 60_000, 0)
    assert home.work().refused == 1, "the start that was announced before is void"
    home.clock.advance(60)
    home.work()
    assert (home.task(task).status, home.task(task).attempt) == (Status.COMPLETED, 1)


def test_a_delayed_task_may_begin_at_once_in_another_lane(home: Installation) -> None:
    task = home.submit("echo", delay_seconds=3600)

    home.services.manage.reschedule(task.id, run_at=0, priority=5)
    home.work(lane=5)

    assert (home.task(task).status, home.task(task).priority) == (Status.COMPLETED, 5)


def test_another_lane_leaves_the_start_as_it_was(home: Installation) -> None:
    task = home.submit("echo", delay_seconds=600)

    moved = home.services.manage.reschedule(task.id, priority=1)

    assert (moved.run_at, moved.priority, moved.status) == (task.run_at, 1, Status.SCHEDULED)


@pytest.mark.parametrize("status", [Status.RUNNING, *FINAL])
def test_only_a_waiting_task_can_be_put_off(home: Installation, status: Status) -> None:
    with pytest.raises(NotNow, match="has not started"):
        home.services.manage.reschedule(kept(home, a_task(status=status)), run_at=NOW + 1)


def test_a_start_that_makes_no_sense_is_pointed_at(home: Installation) -> None:
    plain, expiring = home.submit("echo"), home.submit("echo", expires_at=NOW + 60_000)

    for task, run_at in ((plain, NOW + MAX_DELAY_MS + 1), (expiring, NOW + 60_000)):
        with pytest.raises(InvalidRequest) as caught:
            home.services.manage.reschedule(task.id, run_at=run_at)
        assert caught.value.issues[0]["pointer"] == "/run_at"


# -- callbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [CallbackState.DELIVERED, CallbackState.UNDELIVERED, CallbackState.PENDING])
def test_a_callback_can_be_sent_again(home: Installation, state: CallbackState) -> None:
    task = a_completed_task(callback=a_pending_callback(state=state, tries=10, next_at=None))
    kept(home, task)

    owing = home.services.manage.redeliver(task.id)

    assert owing.callback is not None
    assert (owing.callback.state, owing.callback.tries) == (CallbackState.PENDING, 0)
    assert owing.due_at is not None
    assert home.deliver().delivered == 1


@pytest.mark.parametrize(
    ("task", "says"),
    [(a_completed_task(), "no callback_url"), (a_running_task(callback=a_pending_callback()), "is not final")],
)
def test_a_callback_that_is_not_owed_cannot_be_sent(home: Installation, task: Task, says: str) -> None:
    with pytest.raises(NotNow, match=says):
        home.services.manage.redeliver(kept(home, task))
