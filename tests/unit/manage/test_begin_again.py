"""A task that did not complete may begin again, once for each time that somebody says so."""

import threading

import pytest

from tasklane.errors import NotNow
from tasklane.task import CallbackState, Status
from tests.support.builders import NOW, a_message, a_pending_callback, a_task
from tests.support.installation import CALLBACKS, Installation
from tests.unit.manage.conftest import NOT_COMPLETED, an_ended_task, kept


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
