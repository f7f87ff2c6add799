"""A run whose worker was lost is noticed when its lease has run out, and not before."""

from tasklane.sweep import CLOCK_TOLERANCE_MS, SweepReport
from tasklane.task import Status
from tests.support.builders import NOW, a_change, a_pending_callback, a_running_task
from tests.support.installation import CALLBACKS, Installation
from tests.unit.sweep.conftest import kept


def test_a_run_whose_lease_lasts_is_looked_at_again_when_it_ends(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=0)
    assert home.task(task) == task.evolve(due_at=NOW + 75_000 + CLOCK_TOLERANCE_MS)


def test_a_run_whose_worker_was_lost_is_tried_again(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW + 75_000))
    home.clock.advance(75 + CLOCK_TOLERANCE_MS / 1000)

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    waiting = home.task(task)
    assert (waiting.status, waiting.run) == (Status.SCHEDULED, 1)
    assert [(one.number, one.error.type) for one in waiting.attempts] == [(1, "AttemptLost")]
    assert waiting.run_at is not None
    assert waiting.run_at <= home.clock.now() + 10_000
    home.clock.advance(10)
    home.work()
    assert (home.task(task).status, home.task(task).run) == (Status.COMPLETED, 2)


def test_the_clocks_of_worker_and_sweeper_may_differ_a_little(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW + 75_000))
    home.clock.advance(75)

    home.sweep()

    assert home.task(task).status is Status.RUNNING


def test_a_task_whose_workers_were_all_lost_fails_and_says_so(home: Installation) -> None:
    task = kept(home, a_running_task(run=3, due_at=NOW, lease_until=NOW - 60_000, callback=a_pending_callback()))

    home.sweep()

    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.type == "AttemptLost"
    assert (home.queues.depth(3), home.queues.depth(CALLBACKS)) == (0, 1)


def test_a_lost_run_that_had_been_called_off_ends_cancelled(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW, lease_until=NOW - 60_000, cancel_requested=True))

    home.sweep()

    assert home.task(task).status is Status.CANCELLED


def test_a_run_renewed_meanwhile_is_not_taken_for_lost(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW, lease_until=NOW - 60_000))
    step = home.services.sweep.next_step(task, NOW)
    assert step is not None
    home.store.save([a_change(task, lease_until=NOW + 75_000)])

    assert home.store.save([step]) == [False]
