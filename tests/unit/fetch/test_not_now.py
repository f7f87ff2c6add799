"""What is not to be handed out now: delayed, expired, paused or put off; and how it comes back to its line."""

from collections.abc import Sequence

import pytest

from tasklane.errors import Unavailable
from tasklane.lease import Failure, Holder
from tasklane.line import type_target
from tasklane.message import TaskMessage
from tasklane.ports import Change
from tasklane.task import Status
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.fetch.conftest import fetch


def test_a_delayed_task_enters_its_line_at_its_time(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=60)
    assert home.task(task).line is None

    home.clock.advance(59)
    home.work()
    assert fetch(home) == []
    home.clock.advance(1)
    home.work()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_task_that_was_far_off_enters_its_line_at_its_time(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=7200)

    home.clock.advance(7200 - 14 * 60)
    home.sweep()
    home.clock.advance(14 * 60)
    home.work()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_delayed_task_whose_message_was_lost_enters_its_line_by_the_sweeper(home: Installation) -> None:
    home.lanes.refuse = 1
    task = home.submit("resize", delay_seconds=60)

    home.clock.advance(60 + 181)
    home.sweep()

    assert home.lanes.sent == []
    assert [one.id for one in fetch(home)] == [task.id]


def test_a_doubled_message_does_nothing(home: Installation) -> None:
    task = home.submit("scan", delay_seconds=60)
    message = home.lanes.sent[0]
    home.clock.advance(60)
    home.work()
    fetch(home, seconds=100)
    before = home.task(task)

    report = home.services.execute([message, message, TaskMessage.of(before.evolve(status=Status.PENDING))], lambda: 60)

    assert report.unhandled == frozenset()
    assert home.task(task) == before


def test_messages_come_again_where_the_table_does_not_answer(home: Installation) -> None:
    home.submit("scan", delay_seconds=60)
    home.clock.advance(60)

    home.store.refuse("get")
    home.work()
    home.store.refuse("save")
    home.work()
    home.work()

    assert len(fetch(home)) == 1


def test_the_sweeper_leaves_alone_who_waits_for_a_worker(home: Installation) -> None:
    for _ in range(50):
        home.submit("resize")
    home.clock.advance(86_400 * 30)

    assert home.sweep().seen == 0
    assert home.lanes.sent == []


def test_who_waits_longer_than_it_may_expires_though_nobody_fetches(home: Installation) -> None:
    task = home.submit("resize", expires_at=NOW + 60_000)
    home.clock.advance(62)

    home.sweep()

    assert home.task(task).status is Status.EXPIRED


def test_what_has_expired_is_not_handed_out(home: Installation) -> None:
    task = home.submit("resize", expires_at=NOW + 60_000, callback_url="https://example.com/")
    home.clock.advance(0.01)
    other = home.submit("resize")
    home.clock.advance(60)

    assert [one.id for one in fetch(home)] == [other.id]
    assert home.task(task).status is Status.EXPIRED
    assert home.deliver().delivered == 1


def test_paused_tasks_are_not_handed_out_and_come_back_to_their_line(home: Installation) -> None:
    paused, other = home.submit("resize", priority=5), home.submit("scan")
    home.services.pause.pause(type_target("resize"))

    assert [one.id for one in fetch(home, limit=5)] == [other.id]
    assert home.task(paused).line == "pause:type:resize"
    assert fetch(home, "resize") == []

    home.services.pause.resume(type_target("resize"), lambda: False)
    home.clock.advance(6)

    assert home.lanes.sent == [TaskMessage.at_lease_end(home.task(other))]
    assert [one.id for one in fetch(home)] == [paused.id]


def test_many_paused_tasks_do_not_hide_the_others(home: Installation) -> None:
    for _ in range(45):
        home.submit("resize", priority=5)
    other = home.submit("scan")
    home.services.pause.pause(type_target("resize"))

    assert [one.id for one in fetch(home)] == [other.id]


def test_a_delayed_task_of_a_paused_type_waits_for_its_end(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=60)
    home.services.pause.pause(type_target("resize"))
    home.clock.advance(60)
    home.work()
    assert home.task(task).line == "pause:type:resize"

    home.services.pause.resume(type_target("resize"), lambda: False)

    assert home.task(task).line == "pull:resize"


@pytest.mark.parametrize("rescheduled", [True, False])
def test_a_task_that_is_put_off_leaves_its_line(home: Installation, *, rescheduled: bool) -> None:
    task = home.submit("resize")
    if rescheduled:
        home.services.manage.reschedule(task.id, run_at=NOW + 60_000)
    else:
        home.services.manage.cancel(task.id)

    assert fetch(home) == []
    home.clock.advance(60)
    home.work()
    assert [one.id for one in fetch(home)] == [task.id] * rescheduled


def test_a_task_that_begins_again_by_hand_stands_in_its_line(home: Installation) -> None:
    task = home.submit("resize")
    (leased,) = fetch(home)
    home.services.leases.fail(task.id, Holder.of(leased), Failure(type="E", message="", retryable=False))
    assert home.task(task).status is Status.FAILED

    home.services.manage.retry(task.id)

    (again,) = fetch(home)
    assert (again.id, again.attempt, again.max_attempts) == (task.id, 2, 4)


def test_who_fetches_just_before_and_just_after_a_resume_gets_the_task(home: Installation) -> None:
    """Workers ask all the time: what they know of the pause is not used against a task that nobody holds back."""
    home.services.pause.pause(type_target("resize"))
    task = home.submit("resize")
    assert fetch(home) == []
    assert home.task(task).line == "pause:type:resize"

    home.services.pause.resume(type_target("resize"), lambda: False)

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_pause_that_ends_while_a_task_is_put_aside_lets_it_go(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.services.pause.pause(type_target("resize"))
    task = home.submit("resize")
    save = home.store.save

    def after_the_resume(changes: Sequence[Change]) -> list[bool | Unavailable]:
        monkeypatch.setattr(home.store, "save", save)
        home.services.pause.resume(type_target("resize"), lambda: False)
        return save(changes)

    monkeypatch.setattr(home.store, "save", after_the_resume)

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_fetch_that_cannot_ask_again_goes_by_what_it_knows(home: Installation) -> None:
    home.services.pause.pause(type_target("resize"))
    task = home.submit("resize")
    assert fetch(home, "scan") == []
    home.submit("scan")
    fetch(home, "scan")
    home.control.refuse = 2

    assert fetch(home, "resize") == []
    assert home.task(task).line == "pause:type:resize"
