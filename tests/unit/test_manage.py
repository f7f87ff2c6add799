"""What people do to tasks that exist: read them, call them off, put them off, let them begin again."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tasklane.errors import InvalidRequest, NotNow, TaskNotFound, Unavailable
from tasklane.manage import TRIES
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackState, Status, Task
from tasklane.transitions import MAX_DELAY_MS
from tests.support.builders import (
    NOW,
    a_change,
    a_completed_task,
    a_message,
    a_pending_callback,
    a_running_task,
    a_task,
    an_attempt,
    an_error,
)
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing

FINAL = [status for status in Status if status.final]
NOT_COMPLETED = [Status.FAILED, Status.CANCELLED, Status.EXPIRED]


@pytest.fixture(autouse=True)
def types(registry: Registry) -> None:
    @registry.task("echo", retry=RetryPolicy(max_attempts=2))
    def echo(payload: Nothing) -> str:
        return "done"

    registry.declare_external("scan")


def kept(home: Installation, task: Task) -> str:
    home.store.put([task])
    return task.id


def an_ended_task(status: Status, **changes: Any) -> Task:
    end = {"status": status, "run": 3, "max_attempts": 3, "finished_at": NOW, "due_at": None, "delete_at": NOW}
    return a_task(**({**end, "error": an_error(), "attempts": (an_attempt(3),), "outcome_at": NOW} | changes))


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


# -- letting begin again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", NOT_COMPLETED)
def test_a_task_that_did_not_complete_may_begin_again(home: Installation, status: Status) -> None:
    task = an_ended_task(status, callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=9))
    kept(home, task)

    again = home.services.manage.retry(task.id)

    assert (again.status, again.attempt, again.max_attempts) == (Status.PENDING, 3, 5)
    assert (again.error, again.finished_at, again.outcome_at, again.delete_at) == (None, None, None, None)
    assert again.attempts == task.attempts
    assert again.callback is not None
    assert (again.callback.state, again.callback.tries) == (CallbackState.WAITING, 0)
    home.work()
    done = home.task(task)
    assert (done.status, home.result(task), done.attempt) == (Status.COMPLETED, "done", 4)
    assert home.queues.depth(CALLBACKS) == 1


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PENDING, Status.SCHEDULED, Status.RUNNING])
def test_only_a_task_that_did_not_complete_may_begin_again(home: Installation, status: Status) -> None:
    with pytest.raises(NotNow, match="can be retried"):
        home.services.manage.retry(kept(home, a_task(status=status)))


def test_an_expiry_that_has_passed_does_not_end_it_again(home: Installation) -> None:
    passed = kept(home, an_ended_task(Status.EXPIRED, expires_at=NOW - 1))
    ahead = kept(home, an_ended_task(Status.FAILED, expires_at=NOW + 60_000))

    assert home.services.manage.retry(passed).expires_at is None
    assert home.services.manage.retry(ahead).expires_at == NOW + 60_000


def test_a_task_of_a_type_that_is_gone_gets_one_more_attempt(home: Installation) -> None:
    again = home.services.manage.retry(kept(home, an_ended_task(Status.FAILED, type="of-yesterday")))

    assert again.max_attempts == again.attempt + 1


def test_a_task_for_external_workers_begins_again_without_being_sent(home: Installation) -> None:
    home.services.manage.retry(kept(home, an_ended_task(Status.FAILED, type="scan", external=True)))

    assert home.lanes.sent == []


def test_a_message_from_before_does_not_start_it_twice(home: Installation) -> None:
    task = an_ended_task(Status.FAILED)
    kept(home, task)
    old = a_message(task.evolve(status=Status.PENDING))

    home.services.manage.retry(task.id)

    assert home.services.execute([old], lambda: 900.0).refused == 1


def test_of_two_who_let_it_begin_again_one_sends(home: Installation) -> None:
    task_id = kept(home, an_ended_task(Status.FAILED))
    ready, answers = threading.Barrier(2), list[object]()

    def retry() -> None:
        ready.wait(10)
        try:
            answers.append(home.services.manage.retry(task_id))
        except NotNow as exc:
            answers.append(exc)

    threads = [threading.Thread(target=retry) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 2
    assert len(home.lanes.sent) == 1


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


# -- others at the same time -------------------------------------------------------------------------------------------


def test_what_others_changed_meanwhile_is_decided_anew(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_task()
    kept(home, task)
    save = home.store.save

    def started_first(changes: Sequence[Change]) -> list[bool | Unavailable]:
        monkeypatch.undo()
        save([a_change(task, status=Status.RUNNING, run=1)])
        return save(changes)

    monkeypatch.setattr(home.store, "save", started_first)

    assert home.services.manage.cancel(task.id).status is Status.RUNNING
    assert home.task(task).cancel_requested


def test_a_task_that_others_change_all_the_time_is_unavailable(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = kept(home, a_task())
    asked: list[int] = []

    def lost(changes: Sequence[Change]) -> list[bool | Unavailable]:
        asked.append(1)
        return [False]

    monkeypatch.setattr(home.store, "save", lost)

    with pytest.raises(Unavailable, match="being changed by others"):
        home.services.manage.cancel(task_id)
    assert len(asked) == TRIES


def test_a_change_that_the_table_does_not_take_raises(home: Installation) -> None:
    task_id = kept(home, a_task())
    home.store.refuse("save")

    with pytest.raises(Unavailable):
        home.services.manage.cancel(task_id)


def test_a_task_that_is_gone_cannot_be_changed(home: Installation) -> None:
    for change in (home.services.manage.cancel, home.services.manage.retry, home.services.manage.redeliver):
        with pytest.raises(TaskNotFound):
            change("nobody")
