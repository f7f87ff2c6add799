"""Whatever send got lost or is far off, the sweeper makes up for it, once, and not for ever."""

import pytest

from tasklane.message import CallbackMessage, TaskMessage
from tasklane.sweep import SweepReport
from tasklane.task import CallbackState, Status
from tasklane.timing import PROMOTE_AHEAD_MS
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_task
from tests.support.installation import CALLBACKS, Installation
from tests.unit.sweep.conftest import RECOVERY, kept

# -- sends that got lost -----------------------------------------------------------------------------------------------


def test_a_task_whose_send_got_lost_is_sent_again(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    again = home.task(task)
    assert (again.status, again.sends, again.due_at) == (Status.PENDING, 1, NOW + 2 * RECOVERY * 1000)
    assert home.lanes.sent == [TaskMessage.of(again)]
    home.work()
    assert home.task(task).status is Status.COMPLETED


def test_a_task_that_is_not_due_is_left_alone(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW + 1))

    assert home.sweep() == SweepReport()
    assert home.task(task) == task


def test_a_message_that_got_lost_twice_is_sent_a_third_time(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))
    home.lanes.refuse = 2
    for _ in range(3):
        home.sweep()
        home.clock.advance(3600)

    assert [message.task_id for message in home.lanes.sent] == [task.id]
    assert home.task(task).sends == 3


def test_a_message_sent_by_the_sweeper_does_not_double_the_one_that_was_only_late(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))
    home.lanes.send([TaskMessage.of(task)])
    home.sweep()

    reports = [home.work(), home.work()]

    assert sum(len(report.outcomes) for report in reports) == 1
    assert home.task(task).run == 1


def test_a_long_backlog_is_not_sent_over_and_over(home: Installation) -> None:
    tasks = [kept(home, a_task(due_at=NOW)) for _ in range(20)]

    for _ in range(24 * 60):  # a day without a worker, a sweep a minute
        home.sweep()
        home.clock.advance(60)

    extra = len(home.lanes.sent) / len(tasks)
    assert extra <= 10, "each pause is twice the last"
    assert extra >= 7


def test_an_external_task_whose_message_was_lost_stands_in_its_line_and_is_not_sent(home: Installation) -> None:
    task = kept(home, a_task(type="scan", external=True, due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=0)
    assert (home.task(task).line, home.task(task).due_at) == ("pull:scan", None)


def test_a_type_that_the_sweeper_does_not_know_is_sent(home: Installation) -> None:
    kept(home, a_task(type="of-tomorrow", due_at=NOW))

    assert home.sweep().sent == 1


# -- far off -----------------------------------------------------------------------------------------------------------


def test_a_task_that_is_far_off_is_sent_when_a_queue_can_carry_it_to_its_time(home: Installation) -> None:
    task = home.submit("echo", delay_seconds=3600)
    home.clock.advance(3600 - PROMOTE_AHEAD_MS / 1000 - 1)
    home.sweep()
    assert home.lanes.sent == []

    home.clock.advance(1)
    home.sweep()

    (message,) = home.lanes.sent
    assert message.delay_seconds(home.clock.now()) == PROMOTE_AHEAD_MS // 1000
    assert home.task(task).sends == 0, "it is its first message"
    home.sweep()
    assert len(home.lanes.sent) == 1
    home.clock.advance(PROMOTE_AHEAD_MS / 1000)
    home.work()
    assert (home.task(task).status, home.task(task).started_at) == (Status.COMPLETED, NOW + 3_600_000)


def test_of_a_year_only_a_few_looks_are_needed(home: Installation) -> None:
    home.submit("echo", delay_seconds=300 * 86_400)

    looks = 0
    while not home.lanes.sent:
        due_at = home.store.only().due_at
        assert due_at is not None
        home.clock.advance((due_at - home.clock.now()) / 1000)
        home.sweep()
        looks += 1

    assert looks == 1


# -- expiry ------------------------------------------------------------------------------------------------------------


def test_a_task_that_nobody_started_in_time_expires(home: Installation) -> None:
    task = home.submit("echo", expires_at=NOW + 10_000, callback_url="https://hooks.example.com/")
    home.clock.advance(11)

    home.sweep()

    assert home.task(task).status is Status.EXPIRED
    assert home.queues.depth(CALLBACKS) == 1
    assert home.work().refused + len(home.work().outcomes) == 0
    assert home.task(task).run == 0


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_a_callback_whose_send_got_lost_is_sent_again(home: Installation) -> None:
    task = kept(home, a_completed_task(callback=a_pending_callback(tries=1), due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    (delivery,) = home.queues.receive(CALLBACKS, 10, 0)
    assert CallbackMessage.from_json(delivery.body) == CallbackMessage(task_id=task.id, number=2, send_at=NOW)
    assert (home.task(task).sends, home.task(task).due_at) == (1, NOW + 2 * RECOVERY * 1000)


def test_a_callback_that_is_hours_off_is_sent_in_time(home: Installation) -> None:
    at = NOW + 7_200_000
    task = kept(home, a_completed_task(callback=a_pending_callback(next_at=at), due_at=at - PROMOTE_AHEAD_MS))
    home.clock.advance(7200 - PROMOTE_AHEAD_MS / 1000)

    home.sweep()

    assert (home.task(task).sends, home.queues.depth(CALLBACKS)) == (0, 1)


@pytest.mark.parametrize("state", [CallbackState.DELIVERED, CallbackState.UNDELIVERED])
def test_a_callback_that_is_no_longer_owed_is_not_looked_at_again(home: Installation, state: CallbackState) -> None:
    task = kept(home, a_completed_task(callback=a_pending_callback(state=state), due_at=NOW))
    plain = kept(home, a_completed_task(due_at=NOW))

    home.sweep()

    assert (home.task(task).due_at, home.task(plain).due_at) == (None, None)
    assert home.queues.depth(CALLBACKS) == 0
