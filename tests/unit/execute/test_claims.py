"""Of a batch, what is claimed, what is refused, and what is not to be run now."""

from tasklane.execute import BatchReport
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.builders import NOW, a_message
from tests.support.installation import Installation
from tests.unit.execute.conftest import execute, kept

# -- claims ------------------------------------------------------------------------------------------------------------


def test_a_batch_is_claimed_in_one_request(home: Installation) -> None:
    tasks = kept(home, 10)

    report = execute(home, [a_message(task) for task in tasks])

    assert [len(claims) for claims in home.store.claimed] == [10]
    assert (report.unhandled, report.refused, len(report.outcomes)) == (frozenset(), 0, 10)
    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}


def test_what_could_not_be_claimed_comes_again(home: Installation) -> None:
    tasks = kept(home)
    home.store.refuse("claim")

    report = execute(home, [a_message(task) for task in tasks])

    assert (report.unhandled, report.refused, report.outcomes) == (frozenset({0, 1, 2}), 0, ())
    assert [home.task(task) for task in tasks] == tasks


def test_a_doubled_message_changes_nothing_and_is_handled(home: Installation) -> None:
    (task,) = kept(home, 1)
    message = a_message(task)
    execute(home, [message])
    done = home.task(task)

    report = execute(home, [message])

    assert (report.unhandled, report.refused, report.outcomes) == (frozenset(), 1, ())
    assert home.task(task) == done


def test_a_task_announced_twice_in_one_batch_runs_once(home: Installation) -> None:
    one, other = kept(home, 2)

    report = execute(home, [a_message(one), a_message(other), a_message(one)])

    assert (len(report.outcomes), report.unhandled) == (2, frozenset())
    assert {home.task(task).run for task in (one, other)} == {1}


def test_of_two_announced_runs_the_later_may_begin(home: Installation) -> None:
    (task,) = kept(home, 1, run=1)

    report = execute(home, [a_message(task, run=1), a_message(task), a_message(task, run=1)])

    assert [outcome.task.run for outcome in report.outcomes] == [2]
    assert report.unhandled == frozenset()


def test_a_message_for_a_task_that_is_gone_is_handled(home: Installation) -> None:
    report = execute(home, [a_message(), a_message()])

    assert (report.refused, report.unhandled) == (2, frozenset())


def test_an_empty_batch_asks_nobody(home: Installation) -> None:
    assert execute(home, []) == BatchReport()
    assert home.store.claimed == []


# -- not to be run now -------------------------------------------------------------------------------------------------


def test_a_task_that_has_expired_is_not_run(home: Installation) -> None:
    expired, alive = [*kept(home, 1, expires_at=NOW - 1), *kept(home, 1)]

    report = execute(home, [a_message(expired), a_message(alive)])

    assert (home.task(expired).status, home.task(expired).run) == (Status.EXPIRED, 0)
    assert home.task(alive).status is Status.COMPLETED
    assert report.unhandled == frozenset()


def test_a_task_that_expired_with_a_callback_sends_it(home: Installation, registry: Registry) -> None:
    home.submit("quick", expires_at=NOW + 5000, callback_url="https://hooks.example.com/")
    home.clock.advance(6)

    home.work()

    assert home.store.only().status is Status.EXPIRED
    assert home.queues.depth(0) == 1


def test_expiry_is_the_tasks_to_decide_not_the_messages(home: Installation) -> None:
    (task,) = kept(home, 1, expires_at=None)

    execute(home, [a_message(task, expires_at=NOW - 1)])

    assert home.task(task) == task


def test_a_task_that_cannot_be_expired_now_is_left_to_the_sweeper(home: Installation) -> None:
    (task,) = kept(home, 1, expires_at=NOW - 1)
    home.store.refuse("get")

    assert execute(home, [a_message(task)]).unhandled == frozenset()
    assert home.task(task) == task


def test_a_message_that_came_too_early_is_sent_again_with_the_rest_of_its_delay(home: Installation) -> None:
    (task,) = kept(home, 1, status=Status.SCHEDULED, run_at=NOW + 5000)

    report = execute(home, [a_message(task)])

    assert (report.unhandled, report.outcomes, home.task(task)) == (frozenset(), (), task)
    assert [message.delay_seconds(NOW) for message in home.lanes.sent] == [5]
    home.clock.advance(5)
    home.work()
    assert home.task(task).status is Status.COMPLETED


def test_a_message_that_came_too_early_and_cannot_be_sent_again_now_comes_again(home: Installation) -> None:
    (task,) = kept(home, 1, status=Status.SCHEDULED, run_at=NOW + 5000)
    home.lanes.refuse = 1

    report = execute(home, [a_message(task)])

    assert (report.unhandled, home.task(task)) == (frozenset({0}), task)


def test_a_message_that_is_early_by_rounding_is_run(home: Installation) -> None:
    (task,) = kept(home, 1, status=Status.SCHEDULED, run_at=NOW + 1000)

    execute(home, [a_message(task)])

    assert home.task(task).status is Status.COMPLETED
