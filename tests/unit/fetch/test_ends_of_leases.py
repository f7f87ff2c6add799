"""A lease that ends gives its task to the next worker, or ends it."""

from tasklane.lease import Holder
from tasklane.task import Status
from tests.support.installation import Installation
from tests.unit.fetch.conftest import fetch


def test_a_lost_workers_task_goes_out_again_when_its_lease_has_run_out(home: Installation) -> None:
    """A message comes at the lease's end; nobody has to wait for a sweep."""
    home.submit("scan")
    (first,) = fetch(home, seconds=10)

    home.clock.advance(9.9)
    home.work()
    assert fetch(home) == []
    home.clock.advance(0.1)
    home.work()
    (second,) = fetch(home)

    assert (second.id, second.attempt) == (first.id, 2)
    assert [attempt.error.type for attempt in second.attempts] == ["AttemptLost"]


def test_a_renewed_lease_is_looked_after_at_its_new_end(home: Installation) -> None:
    home.submit("scan")
    (task,) = fetch(home, seconds=10)
    home.clock.advance(5)
    home.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=20)

    home.clock.advance(5)
    home.work()
    assert fetch(home) == []
    home.clock.advance(15)
    home.work()

    assert [one.attempt for one in fetch(home)] == [2]


def test_what_the_message_at_a_leases_end_does_not_see_to_the_sweeper_does(home: Installation) -> None:
    home.submit("scan")
    home.lanes.refuse = 1
    (task,) = fetch(home, seconds=10)

    home.clock.advance(30)
    home.sweep()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_lease_that_lasts_longer_than_a_queues_delay_is_the_sweepers(home: Installation) -> None:
    home.submit("scan")
    (task,) = fetch(home, seconds=4000)
    assert home.lanes.sent == []

    home.clock.advance(3999)
    home.sweep()
    assert fetch(home) == []
    home.clock.advance(30)
    home.sweep()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_task_whose_last_attempt_was_lost_has_failed(home: Installation) -> None:
    task = home.submit("scan", max_attempts=2)
    for _ in range(2):
        fetch(home, seconds=10)
        home.clock.advance(10)
        home.work()

    assert home.task(task).status is Status.FAILED
    assert home.task(task).attempt == 2
