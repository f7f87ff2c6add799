"""What happens to a task: pure functions from the record as it was to the record as it is to be."""

from dataclasses import replace

from tasklane.line import is_rate, pull_line, rate_line
from tasklane.task import MAX_HISTORY, Attempt, CallbackEvent, CallbackState, Document, ErrorDetails, Status, Task
from tasklane.throttle import TimeSlot
from tasklane.timing import (
    LEASE_SECONDS,
    WAITED_FOR_MS,
    Timing,
    kept,
    lease_until,
    next_callback_look,
    next_look,
)


def begun(
    task: Task, *, run: int, now: int, lease_id: str, lease_until: int, due_at: int | None, slots: tuple[str, ...] = ()
) -> Task:
    """A waiting task in the hands of a worker. ``due_at`` None: as it was."""
    return task.evolve(
        status=Status.RUNNING,
        run=run,
        started_at=now,
        lease_id=lease_id,
        lease_until=lease_until,
        run_at=None,
        line=None,
        slots=slots,
        reserved_at=None,
        reserved_on=None,
        reserved_first=None,
        progress=None,
        due_at=task.due_at if due_at is None else due_at,
    )


def renewed(task: Task, now: int, timing: Timing) -> Task:
    """A running task whose worker still is at it.

    ``due_at`` moves only when the lease would outlast it, and then as far as it may: moving it costs an index entry.
    Of a run that holds a slot it stays right behind the lease.
    """
    until = lease_until(LEASE_SECONDS, now)
    if task.slots:
        return task.evolve(lease_until=until, due_at=until + WAITED_FOR_MS)
    late_enough = task.due_at is not None and task.due_at >= until
    return task.evolve(lease_until=until, due_at=task.due_at if late_enough else until + timing.recovery_ms)


def extended(task: Task, until: int, timing: Timing) -> Task:
    """A running task whose external worker holds it until then: longer than before, or not as long."""
    fits = task.due_at is not None and until < task.due_at <= until + timing.recovery_ms
    return task.evolve(lease_until=until, due_at=task.due_at if fits else until + timing.recovery_ms)


def given_back(task: Task, now: int, timing: Timing) -> Task:
    """A running task whose external worker never had it in its hands; no attempt is counted."""
    return _waiting(task.evolve(uncounted=task.uncounted + 1, lease_id=None, lease_until=None), now, now, timing)


def announced(before: Task, after: Task) -> Task:
    """``after`` with its progress counted as told, where that is new and somebody wants to be told of progress."""
    callback = after.callback
    if callback is None or CallbackEvent.PROGRESS not in callback.events or after.progress == before.progress:
        return after
    return after.evolve(callback=replace(callback, told=callback.told + 1))


def completed(task: Task, result: Document, now: int, timing: Timing) -> Task:
    """A running task whose handler returned."""
    task = task.evolve(
        status=Status.COMPLETED,
        result=result,
        error=None,
        progress=task.progress and replace(task.progress, fraction=1.0),
        state=None,
        has_blobs=task.has_blobs or result.blob_key is not None,
    )
    return _final(task, now, timing)


def cancelled(task: Task, now: int, timing: Timing) -> Task:
    """A waiting task that was called off, or a running one whose handler has let go.

    While its worker waits for its time slot, it ends before it was to start.
    """
    started_at = None if task.started_at is None else min(task.started_at, now)
    return _final(task.evolve(status=Status.CANCELLED, started_at=started_at), now, timing)


def reopened(task: Task, now: int, timing: Timing) -> Task:
    """A final task that somebody lets begin again, with as many more attempts as it had; its history is kept.

    An expiry that has passed is dropped, and whoever wants to be told is told again. The run is another, so that this
    outcome's callback has an id of its own, and what is still on its way from before is void.
    """
    gone = task.expires_at is not None and task.expires_at <= now
    each = task.attempts_each or task.max_attempts
    task = task.evolve(
        run=task.run + 1,
        uncounted=task.uncounted + 1,
        continuations=0,
        progress=None,
        error=None,
        result=None,
        started_at=None,
        finished_at=None,
        outcome_at=None,
        delete_at=None,
        cancel_requested=False,
        expires_at=None if gone else task.expires_at,
        max_attempts=task.attempt + each,
        attempts_each=each,
        reopened_at=now,
        callback=task.callback and task.callback.begun_anew(CallbackState.WAITING),
    )
    return _waiting(task, now, now, timing)


def rescheduled(task: Task, *, run_at: int, priority: int, now: int, timing: Timing) -> Task:
    """A waiting task with another start or lane. The start that was announced before is void: the run is another."""
    task = task.evolve(priority=priority, run=task.run + 1, uncounted=task.uncounted + 1)
    return _waiting(task, run_at, now, timing)


def held(task: Task, line: str, now: int, timing: Timing) -> Task:
    """A waiting task whose time has come, but which something holds back: it stands in ``line``, not in its lane."""
    task = task.evolve(status=Status.PENDING, run_at=None, line=line, sends=0)
    return task.evolve(due_at=next_look(task, now, timing))


def put_off(task: Task, slot: TimeSlot, now: int, timing: Timing) -> Task:
    """A waiting task whose time has come, and whose start has a time slot, which the rate of a limit gave it.

    The start that was announced before is void, the run is another: begun by a slow worker, it would go on without its
    slot, and be looked after only at the slot's time.
    """
    task = task.evolve(
        run=task.run + 1,
        uncounted=task.uncounted + 1,
        status=Status.PENDING,
        run_at=slot.at,
        line=rate_line(slot.key),
        reserved_at=slot.at,
        reserved_on=slot.reserved_on,
        reserved_first=slot.first,
        sends=0,
    )
    return task.evolve(due_at=next_look(task, now, timing))


def let_go(task: Task, now: int, timing: Timing) -> Task:
    """A task that nothing holds back any more: it belongs in its lane or, if it is an external one, in its line.

    Where it had a time slot, it is to have another.
    """
    if task.external:
        return held(task, pull_line(task.type), now, timing)
    if is_rate(task.line):
        task = task.evolve(run_at=None, reserved_at=None, reserved_on=None, reserved_first=None)
    task = task.evolve(line=None, sends=0)
    return task.evolve(due_at=next_look(task, now, timing))


def owing_again(task: Task, now: int, timing: Timing) -> Task:
    """A final task whose callback is to be sent again from the beginning of its schedule; its tries are remembered."""
    task = task.evolve(
        callback=task.callback and task.callback.begun_anew(CallbackState.PENDING, now),
        outcome_at=None if task.status is Status.COMPLETED else task.outcome_at,
        sends=0,
    )
    look = next_callback_look(task, now, timing)
    return kept(task.evolve(due_at=look), look)


def sent_anew(task: Task, now: int, timing: Timing) -> Task:
    """A waiting task whose message is sent as if for the first time: the sweeper's growing pauses begin anew."""
    task = task.evolve(sends=0)
    return task.evolve(due_at=next_look(task, now, timing))


def callback_sent_anew(task: Task, now: int, timing: Timing) -> Task:
    """The same for a final task whose callback waits for its next try: no try is counted, and none forgotten."""
    task = task.evolve(sends=0)
    look = next_callback_look(task, now, timing)
    return kept(task.evolve(due_at=look), look)


def continued(task: Task, state: Document | None, at: int, now: int, timing: Timing) -> Task:
    """A running task that goes on in a new run at ``at``; no attempt is counted."""
    task = task.evolve(
        state=state,
        uncounted=task.uncounted + 1,
        continuations=task.continuations + 1,
        has_blobs=task.has_blobs or (state is not None and state.blob_key is not None),
        lease_id=None,
        lease_until=None,
    )
    return _waiting(task, at, now, timing)


def expired(task: Task, now: int, timing: Timing) -> Task:
    """A waiting task whose ``expires_at`` has passed."""
    details = ErrorDetails(type="Expired", message="Nobody started the task before its expires_at.")
    return _final(task.evolve(status=Status.EXPIRED, error=details), now, timing)


def attempt_failed(task: Task, error: ErrorDetails, now: int, timing: Timing, *, retry_at: int | None) -> Task:
    """A running task whose attempt failed: it waits until ``retry_at``, or is failed where that is None."""
    attempt = Attempt(number=task.attempt, started_at=task.started_at or now, finished_at=now, error=error)
    task = task.evolve(attempts=(*task.attempts, attempt)[-MAX_HISTORY:], error=error, lease_id=None, lease_until=None)
    if retry_at is None:
        return _final(task.evolve(status=Status.FAILED), now, timing)
    return _waiting(task.evolve(progress=None), retry_at, now, timing)


def _waiting(task: Task, at: int, now: int, timing: Timing) -> Task:
    later = at > now
    task = task.evolve(
        status=Status.SCHEDULED if later else Status.PENDING,
        run_at=at if later else None,
        line=pull_line(task.type) if task.external and not later else None,
        slots=(),
        reserved_at=None,
        reserved_on=None,
        reserved_first=None,
        sends=0,
    )
    return task.evolve(due_at=next_look(task, now, timing))


def _final(task: Task, now: int, timing: Timing) -> Task:
    callback = task.callback and replace(task.callback, state=CallbackState.PENDING, next_at=now)
    task = task.evolve(
        finished_at=now,
        callback=callback,
        sends=0,
        lease_id=None,
        lease_until=None,
        run_at=None,
        line=None,
        slots=(),
        reserved_at=None,
        reserved_on=None,
        reserved_first=None,
        cancel_requested=False,
        outcome_at=None if task.status is Status.COMPLETED else now,
        delete_at=now // 1000 + timing.retention_seconds,
    )
    return task.evolve(due_at=next_callback_look(task, now, timing) if callback else None)
