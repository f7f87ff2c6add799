"""What happens to a task, and when the sweeper must look at it again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane.task import MAX_HISTORY, CallbackState, Progress, Status
from tasklane.timing import (
    CARRIED_MS,
    LEASE_MARGIN_MS,
    MAX_DOUBLINGS,
    PROMOTE_AHEAD_MS,
    Timing,
    fits_a_queue,
    lease_until,
    moved_due,
    next_callback_look,
    next_look,
)
from tasklane.transitions import attempt_failed, begun, cancelled, completed, expired, renewed
from tests.support.builders import (
    NOW,
    a_completed_task,
    a_document,
    a_pending_callback,
    a_running_task,
    a_task,
    an_attempt,
    an_error,
)

TIMING = Timing(recovery_ms=180_000, retention_seconds=3600)
QUARTER_HOUR_MS = 900_000


# -- when to look again ------------------------------------------------------------------------------------------------


def test_a_waiting_task_is_looked_at_after_the_recovery_window() -> None:
    assert next_look(a_task(), NOW, TIMING) == NOW + 180_000


def test_a_delayed_task_is_looked_at_after_its_time_and_the_recovery_window() -> None:
    assert next_look(a_task(run_at=NOW + 60_000), NOW, TIMING) == NOW + 60_000 + 180_000


def test_a_task_that_no_queue_carries_to_its_time_is_looked_at_before() -> None:
    run_at = NOW + 3_600_000

    look = next_look(a_task(run_at=run_at), NOW, TIMING)

    assert look == run_at - PROMOTE_AHEAD_MS
    assert run_at - look < QUARTER_HOUR_MS, "a queue must be able to carry it when the sweeper looks"


def test_each_further_send_doubles_the_pause_up_to_a_bound() -> None:
    pauses = [(next_look(a_task(sends=sends), NOW, TIMING) or 0) - NOW for sends in range(MAX_DOUBLINGS + 3)]

    assert pauses[:4] == [180_000, 360_000, 720_000, 1_440_000]
    assert pauses[-1] == pauses[MAX_DOUBLINGS] == 180_000 * 2**MAX_DOUBLINGS


def test_a_task_that_expires_is_looked_at_then() -> None:
    assert next_look(a_task(expires_at=NOW + 20_000), NOW, TIMING) == NOW + 21_000
    assert next_look(a_task(expires_at=NOW - 20_000), NOW, TIMING) == NOW + 1000
    assert next_look(a_task(expires_at=NOW + 9_999_999), NOW, TIMING) == NOW + 180_000


@given(
    run_in=st.none() | st.integers(-1_000_000, 100_000_000),
    expires_in=st.none() | st.integers(-1_000_000, 100_000_000),
    sends=st.integers(0, 40),
)
def test_the_next_look_is_always_in_the_future(run_in: int | None, expires_in: int | None, sends: int) -> None:
    task = a_task(
        run_at=None if run_in is None else NOW + run_in,
        expires_at=None if expires_in is None else NOW + expires_in,
        sends=sends,
    )

    assert (next_look(task, NOW, TIMING) or 0) > NOW


@pytest.mark.parametrize(
    ("run_at", "fits"),
    [(None, True), (NOW - 1, True), (NOW + QUARTER_HOUR_MS, True), (NOW + QUARTER_HOUR_MS + 1, False)],
)
def test_a_queue_carries_a_task_for_a_quarter_of_an_hour(run_at: int | None, fits: object) -> None:
    assert fits_a_queue(a_task(run_at=run_at), NOW) is fits


@pytest.mark.parametrize(("run_in", "fits"), [(QUARTER_HOUR_MS + 1, True), (CARRIED_MS, True), (CARRIED_MS + 1, False)])
def test_queues_carry_a_task_to_its_time_slot_for_hours(run_in: int, fits: object) -> None:
    task = a_task(run_at=NOW + run_in, reserved_at=NOW + run_in)

    assert fits_a_queue(task, NOW) is fits
    assert next_look(task, NOW, TIMING) == NOW + run_in + (180_000 if fits else -PROMOTE_AHEAD_MS)


def test_a_pending_callback_is_looked_at_after_its_next_try() -> None:
    task = a_completed_task(callback=a_pending_callback(next_at=NOW + 300_000), expires_at=NOW)

    assert next_callback_look(task, NOW, TIMING) == NOW + 300_000 + 180_000
    assert next_callback_look(a_completed_task(), NOW, TIMING) == NOW + 180_000
    far = a_completed_task(callback=a_pending_callback(next_at=NOW + 7_200_000))
    assert next_callback_look(far, NOW, TIMING) == NOW + 7_200_000 - PROMOTE_AHEAD_MS


@pytest.mark.parametrize(
    ("due_in", "moved"),
    [
        pytest.param(74_999, True, id="before the lease ends: a living run would be taken for lost"),
        pytest.param(75_000, False, id="at the lease's end"),
        pytest.param(180_000, False, id="the usual case"),
        pytest.param(255_000, False, id="a recovery window after the lease's end"),
        pytest.param(255_001, True, id="so late that a lost run would wait for long"),
    ],
)
def test_a_claim_moves_due_only_where_it_must(due_in: int, moved: object) -> None:
    end = lease_until(60, NOW)
    assert end == NOW + 60_000 + LEASE_MARGIN_MS

    assert moved_due(NOW + due_in, end, TIMING) == (end if moved else None)


# -- what becomes of a task --------------------------------------------------------------------------------------------


def test_a_begun_run_forgets_the_last_one() -> None:
    task = a_task(status=Status.SCHEDULED, run=1, run_at=NOW, progress=Progress(fraction=0.5), error=an_error())

    running = begun(task, run=2, now=NOW + 5, lease_id="abcd", lease_until=NOW + 99, due_at=None)

    assert running == task.evolve(
        status=Status.RUNNING,
        run=2,
        started_at=NOW + 5,
        lease_id="abcd",
        lease_until=NOW + 99,
        run_at=None,
        progress=None,
    )
    assert begun(task, run=2, now=NOW, lease_id="x", lease_until=NOW, due_at=NOW + 7).due_at == NOW + 7


def test_a_completed_task_is_nobodys_business_any_more() -> None:
    task = a_running_task(error=an_error(), sends=3, progress=Progress(fraction=0.7, message="nearly"))

    done = completed(task, a_document("55"), NOW + 500, TIMING)

    assert done == task.evolve(
        status=Status.COMPLETED,
        result=a_document("55"),
        error=None,
        progress=Progress(fraction=1.0, message="nearly"),
        finished_at=NOW + 500,
        sends=0,
        lease_id=None,
        lease_until=None,
        due_at=None,
        delete_at=NOW // 1000 + 3600,
    )


def test_a_final_task_owes_its_callback() -> None:
    callback = a_pending_callback(state=CallbackState.WAITING, next_at=None)

    done = completed(a_running_task(callback=callback), a_document(), NOW, TIMING)

    assert done.callback == replace(callback, state=CallbackState.PENDING, next_at=NOW)
    assert done.due_at == NOW + 180_000


def test_a_task_that_did_not_complete_is_in_the_index_of_failures() -> None:
    assert completed(a_running_task(), a_document(), NOW, TIMING).outcome_at is None
    assert attempt_failed(a_running_task(), an_error(), NOW, TIMING, retry_at=None).outcome_at == NOW
    assert expired(a_task(), NOW, TIMING).outcome_at == NOW


def test_an_expired_task_says_so() -> None:
    gone = expired(a_task(run_at=NOW), NOW, TIMING)

    assert (gone.status, gone.due_at, gone.run_at, gone.finished_at) == (Status.EXPIRED, None, None, NOW)
    assert gone.error is not None
    assert gone.error.type == "Expired"


def test_a_failed_attempt_waits_for_the_next() -> None:
    task = a_running_task(progress=Progress(fraction=0.5), sends=4)

    waiting = attempt_failed(task, an_error("boom"), NOW + 400, TIMING, retry_at=NOW + 5400)

    assert (waiting.status, waiting.run_at, waiting.due_at) == (Status.SCHEDULED, NOW + 5400, NOW + 5400 + 180_000)
    assert waiting.attempts == (an_attempt(1, finished_at=NOW + 400, error=an_error("boom")),)
    assert (waiting.error, waiting.progress, waiting.sends) == (an_error("boom"), None, 0)
    assert (waiting.lease_id, waiting.lease_until) == (None, None)
    assert waiting.finished_at is None


def test_a_failed_attempt_without_a_pause_is_pending() -> None:
    waiting = attempt_failed(a_running_task(), an_error(), NOW, TIMING, retry_at=NOW)

    assert (waiting.status, waiting.run_at) == (Status.PENDING, None)


def test_the_last_failed_attempt_ends_the_task() -> None:
    failed = attempt_failed(a_running_task(run=3), an_error(), NOW, TIMING, retry_at=None)

    assert (failed.status, failed.error, failed.finished_at) == (Status.FAILED, an_error(), NOW)
    assert [attempt.number for attempt in failed.attempts] == [3]


def test_only_the_last_attempts_are_remembered() -> None:
    task = a_running_task(run=15, attempts=tuple(an_attempt(n) for n in range(5, 15)))

    failed = attempt_failed(task, an_error(), NOW, TIMING, retry_at=None)

    assert [attempt.number for attempt in failed.attempts] == list(range(6, 16))
    assert len(failed.attempts) == MAX_HISTORY


@pytest.mark.parametrize(
    ("due_in", "moved_to"),
    [
        pytest.param(180_000, None, id="the lease ends before: it costs an index entry, so it stays"),
        pytest.param(75_000, None, id="at the same time"),
        pytest.param(74_999, 255_000, id="the lease would outlast it: as far as it may go"),
    ],
)
def test_a_renewal_moves_due_only_where_it_must(due_in: int, moved_to: int | None) -> None:
    task = renewed(a_running_task(due_at=NOW + due_in), NOW, Timing())

    assert task.lease_until == NOW + 75_000
    assert task.due_at == NOW + (due_in if moved_to is None else moved_to)


def test_a_run_that_others_wait_for_is_looked_at_right_after_its_lease() -> None:
    after = renewed(a_running_task(slots=("a",), due_at=NOW + 500_000), NOW, Timing())

    assert after.lease_until == NOW + 75_000
    assert after.due_at == NOW + 80_000


def test_one_that_is_called_off_before_its_time_slot_has_not_run() -> None:
    """A worker has it up to three seconds before."""
    task = cancelled(a_running_task(started_at=NOW + 2000), NOW + 1000, Timing())

    assert (task.started_at, task.finished_at) == (NOW + 1000, NOW + 1000)
