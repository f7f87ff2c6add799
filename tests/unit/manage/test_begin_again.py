"""A task that did not complete may begin again, once for each time that somebody says so."""

import threading

import pytest

from tasklane.errors import NotNow
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackState, Status
from tests.support.builders import NOW, a_message, a_pending_callback, a_task
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Anything
from tests.unit.manage.conftest import NOT_COMPLETED, an_ended_task, kept


@pytest.mark.parametrize("status", NOT_COMPLETED)
def test_a_task_that_did_not_complete_may_begin_again(home: Installation, status: Status) -> None:
    task = an_ended_task(status, callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=9))
    kept(home, task)

    again = home.services.manage.retry(task.id)

    assert (again.status, again.attempt, again.max_attempts) == (Status.PENDING, 3, 6)
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


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_each_time_it_has_as_many_attempts_as_it_was_given(
    home: Installation, registry: Registry, attempts: int
) -> None:
    ran: list[int] = []

    @registry.task("hopeless", retry=RetryPolicy.fixed(0, max_attempts=3))
    def hopeless(payload: Anything) -> None:
        ran.append(1)
        raise ValueError("no")

    task = home.submit("hopeless", max_attempts=attempts)
    for again in range(1, 4):
        while not home.task(task).status.final:
            home.work()

        assert (home.task(task).status, len(ran)) == (Status.FAILED, attempts * again)
        home.services.manage.retry(task.id)


def test_its_age_counts_anew(home: Installation, registry: Registry) -> None:
    @registry.task("hopeless", retry=RetryPolicy.fixed(1, max_attempts=3, max_age_seconds=10))
    def hopeless(payload: Anything) -> None:
        raise ValueError("no")

    def attempts() -> int:
        """Let it fail for good."""
        while not home.task(task).status.final:
            home.work()
            home.clock.advance(4)
        return home.task(task).attempt

    task = home.submit("hopeless")
    assert attempts() == 3
    home.clock.advance(3600)
    home.services.manage.retry(task.id)

    assert attempts() == 6


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
