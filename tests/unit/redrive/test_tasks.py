"""The task's record decides what becomes of its dead letter."""

import pytest

from tasklane.message import TaskMessage
from tasklane.redrive import RedriveReport
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_message, a_running_task, a_task
from tests.support.installation import Installation
from tests.unit.redrive.conftest import LANE, bury, left, redrive, sent

# -- what becomes of a task --------------------------------------------------------------------------------------------


def test_a_waiting_task_is_sent_again_as_if_for_the_first_time(home: Installation) -> None:
    task = a_task(sends=9, due_at=NOW + 10**9)
    bury(home, task)

    assert redrive(home) == RedriveReport(sent=1)

    again = home.task(task)
    assert (again.status, again.run, again.sends) == (Status.PENDING, 0, 0)
    assert again.due_at == NOW + 180_000, "should this message get lost, the sweeper sends another one soon"
    assert sent(home) == [TaskMessage.of(again)]
    assert left(home) == []


def test_what_was_sent_again_is_run(home: Installation) -> None:
    task = home.submit()
    (message,) = sent(home)
    home.dead_letters.send(LANE, message.to_json(), 0)

    redrive(home)
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_a_task_goes_down_the_lane_that_its_record_names(home: Installation) -> None:
    bury(home, a_task(priority=5), priority=LANE)

    assert redrive(home).sent == 1
    assert len(sent(home, lane=5)) == 1


def test_a_task_that_waits_for_a_near_time_is_sent_for_that_time(home: Installation) -> None:
    bury(home, a_task(status=Status.SCHEDULED, run_at=NOW + 60_000, run=1))

    assert redrive(home).sent == 1
    assert sent(home) == []
    home.clock.advance(60)
    assert len(sent(home)) == 1


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (a_task(status=Status.SCHEDULED, run_at=NOW + 3_600_000), "scheduled"),
        (a_task(expires_at=NOW - 1), "pending"),
        (a_task(type="resize", external=True, line="pull:resize"), "pending"),
        (a_task(line="pause:lane:3"), "pending"),
        (a_running_task(), "running"),
        (a_running_task(lease_until=NOW - 1), "running"),
        (a_completed_task(), "completed"),
        (a_completed_task(status=Status.FAILED), "failed"),
        (a_completed_task(status=Status.CANCELLED), "cancelled"),
        (a_completed_task(status=Status.EXPIRED), "expired"),
    ],
    ids=["far off", "overdue", "external", "paused", "running", "lost", "completed", "failed", "cancelled", "expired"],
)
def test_what_needs_nothing_is_left_alone_and_its_dead_letter_removed(
    home: Installation, task: Task, kind: str
) -> None:
    bury(home, task, status="pending")

    assert redrive(home) == RedriveReport(removed={kind: 1})

    assert home.task(task) == task
    assert sent(home) == []
    assert left(home) == []


def test_a_dead_letter_of_a_task_that_is_gone_is_removed(home: Installation) -> None:
    home.dead_letters.send(LANE, a_message().to_json(), 0)

    assert redrive(home) == RedriveReport(removed={"unknown": 1})
    assert left(home) == []


def test_several_dead_letters_of_a_task_send_it_once(home: Installation) -> None:
    task = a_task()
    bury(home, task)
    for run in (1, 2, 1):
        home.dead_letters.send(LANE, a_message(task, run=run).to_json(), 0)

    assert redrive(home) == RedriveReport(sent=1, removed={"repeated": 3})
    assert len(sent(home)) == 1


def test_dead_letters_of_a_task_in_several_batches_send_it_once(home: Installation) -> None:
    task = a_task()
    bury(home, task, *(a_task() for _ in range(15)), task)

    assert redrive(home) == RedriveReport(sent=16, removed={"repeated": 1})


# -- failed tasks ------------------------------------------------------------------------------------------------------


def a_failed_task(home: Installation) -> Task:
    task = home.submit("fail", callback_url="https://hooks.example.com/")
    (message,) = sent(home)
    home.services.execute([message], lambda: 60.0)
    home.dead_letters.send(LANE, message.to_json(), 0)
    assert home.task(task).status is Status.FAILED
    return home.task(task)


def test_a_failed_task_begins_again_where_that_is_wanted(home: Installation) -> None:
    task = a_failed_task(home)

    assert redrive(home, reopen=True) == RedriveReport(reopened=1)

    again = home.task(task)
    assert (again.status, again.run, again.max_attempts) == (Status.PENDING, 2, 1 + 3)
    assert again.attempts == task.attempts
    assert again.callback is not None
    assert again.callback.state is CallbackState.WAITING
    assert sent(home) == [TaskMessage.of(again)]


def test_a_failed_task_begins_again_once_however_many_dead_letters_it_has(home: Installation) -> None:
    task = a_failed_task(home)
    letter = a_message(task, run=task.run, status="pending").to_json()
    home.dead_letters.send(LANE, letter, 0)

    assert redrive(home, reopen=True) == RedriveReport(reopened=1, removed={"repeated": 1})
    home.work()
    home.dead_letters.send(LANE, letter, 0)
    assert redrive(home, reopen=True) == RedriveReport(removed={"failed": 1}), "this run did not fail"
    assert home.task(task).status is Status.FAILED


def test_a_failed_task_whose_retention_has_ended_stays_failed(home: Installation) -> None:
    bury(home, a_completed_task(status=Status.FAILED, delete_at=NOW // 1000), run=1, status="pending")

    assert redrive(home, reopen=True) == RedriveReport(removed={"failed": 1})


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED, Status.EXPIRED])
def test_what_did_not_fail_never_begins_again(home: Installation, status: Status) -> None:
    bury(home, a_completed_task(status=status), run=1, status="pending")

    assert redrive(home, reopen=True) == RedriveReport(removed={status.value: 1})
