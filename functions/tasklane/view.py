"""A task in its own words, as ``/v1`` and callbacks show it."""

from typing import Any

from tasklane.task import Callback, Status, Task
from tasklane.timestamps import rfc3339


def shown_status(task: Task, now: int) -> Status:
    """The status to show: a scheduled task whose time has come is pending, though no write said so."""
    if task.status is Status.SCHEDULED and (task.run_at is None or task.run_at <= now):
        return Status.PENDING
    return task.status


def shown_attempt(task: Task) -> int:
    """The number of the attempt that a task is in, or was in last; 0 before the first.

    A run that is to go on in another one is counted when that begins: until then its attempt goes on all the same.
    """
    if task.started_at is None or task.continuations == 0:
        return task.attempt
    failed = task.attempts[-1].started_at if task.attempts else None
    goes_on = task.status.waiting and failed != task.started_at
    return max(task.attempt + goes_on, 1)


def simple_status(task: Task) -> Status:
    """The status for clients that know four: pending, running, completed, failed. It never goes backwards.

    A task that waits for its next attempt goes on running; what ended in any other way than completed has failed.
    """
    if task.status.final:
        return task.status if task.status is Status.COMPLETED else Status.FAILED
    return Status.PENDING if task.started_at is None else Status.RUNNING


def task_view(task: Task, now: int, *, payload: Any, result: Any) -> dict[str, Any]:
    """Everything about a task that JSON can say. ``payload`` and ``result`` are the documents' values."""
    return {
        "id": task.id,
        "type": task.type,
        "status": shown_status(task, now).value,
        "priority": task.priority,
        "tenant": task.tenant,
        "labels": dict(task.labels),
        "throttle_keys": list(task.throttle_keys),
        "payload": payload,
        "result": result,
        "error": error_view(task),
        "progress": task.progress and {"fraction": task.progress.fraction, "message": task.progress.message},
        "attempt": shown_attempt(task),
        "max_attempts": task.max_attempts,
        "timeout_seconds": task.timeout_seconds,
        "retry": dict(task.retry) if task.retry else None,
        "continuations": task.continuations,
        "cancel_requested": task.cancel_requested and task.status is Status.RUNNING,
        "attempts": [
            {
                "number": attempt.number,
                "started_at": rfc3339(attempt.started_at),
                "finished_at": rfc3339(attempt.finished_at),
                "error": {"type": attempt.error.type, "message": attempt.error.message},
            }
            for attempt in task.attempts
        ],
        "callback": task.callback and callback_view(task.callback),
        "created_at": rfc3339(task.created_at),
        "held_by": task.line,
        "run_at": _time(task.run_at),
        "expires_at": _time(task.expires_at),
        "started_at": _time(task.started_at),
        "finished_at": _time(task.finished_at),
        "timings": timings_view(task),
        "contract": task.contract,
    }


def error_view(task: Task) -> dict[str, str] | None:
    """The task's last error."""
    return {"type": task.error.type, "message": task.error.message} if task.error else None


def failure(task: Task) -> str | None:
    """Why it failed, in words; None where it did not (yet)."""
    if simple_status(task) is not Status.FAILED:
        return None
    return task.error.message if task.status is Status.FAILED and task.error else f"The task is {task.status.value}."


def callback_view(callback: Callback) -> dict[str, Any]:
    """Where the callback goes and how its tries went."""
    return {
        "url": callback.url,
        "events": [event.value for event in callback.events],
        "give_up_on_4xx": callback.give_up_on_4xx,
        "state": callback.state.value,
        "tries": callback.tries,
        "next_at": _time(callback.next_at),
        "history": [
            {
                "number": one.number,
                "started_at": rfc3339(one.started_at),
                "duration_ms": one.duration_ms,
                "status_code": one.status_code,
                "error": one.error,
            }
            for one in callback.history
        ],
    }


def timings_view(task: Task) -> dict[str, int | None]:
    """Milliseconds: waited from its creation to its last start, ran in its last run, in all from creation to end."""
    waited = None if task.started_at is None else task.started_at - task.created_at
    ran = None if task.started_at is None or task.finished_at is None else task.finished_at - task.started_at
    total = None if task.finished_at is None else task.finished_at - task.created_at
    return {"waited_ms": waited, "ran_ms": ran, "total_ms": total}


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
