"""The bodies of callbacks: pure functions from an event of a task to JSON, one for each contract that has its own.

A contract that wants another body adds its builder to ``BUILDERS``; every other task is told in the form of Standard
Webhooks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tasklane.document import from_text
from tasklane.task import Status, Task
from tasklane.timestamps import rfc3339
from tasklane.view import failure, simple_status, task_view


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What a callback tells: ``name`` (completed, failed, …) has happened to ``task`` at ``at`` (Unix milliseconds)."""

    name: str
    task: Task
    at: int
    result: Any = None
    """What the handler returned; None where there is nothing, or where it is too large to be told."""
    result_url: str | None = None
    """Where to fetch a result that is too large; None where there is none."""
    result_url_until: int | None = None
    """Until when it can be fetched there."""


NOT_TOLD: Final = ("payload", "callback", "timings", "contract", "held_by", "throttle_keys")
"""Members of a task's view that a callback leaves out: what its receiver knows, or what is no business of his."""
Builder: TypeAlias = Callable[[Event], dict[str, Any]]


def standard_body(event: Event) -> dict[str, Any]:
    """The body that Standard Webhooks recommends: what happened, when, and to what.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure
    """
    data = task_view(event.task, event.at, payload=None, result=event.result)
    for member in NOT_TOLD:
        del data[member]
    data |= _address(event)
    return {"type": f"task.{event.name}", "timestamp": rfc3339(event.at), "sequence": event.task.sequence, "data": data}


def _address(event: Event) -> dict[str, Any]:
    """Where to fetch the result, and until when; nothing where the event has the result itself."""
    if event.result_url is None:
        return {}
    until = event.result_url_until
    return {"result_url": event.result_url, "result_url_expires_at": None if until is None else rfc3339(until)}


TASK_EXECUTION: Final = "task-execution"
"""The contract whose callbacks have a body of their own."""


def task_execution_body(event: Event) -> dict[str, Any]:
    """The body of the contract ``TASK_EXECUTION``: times are when it was completed, statuses capitals."""
    task, told = event.task, rfc3339(event.at)
    return {
        "task_id": task.id,
        "status": simple_status(task).value.upper(),
        "result": _job_result(event, told) if task.status is Status.COMPLETED else None,
        "error": failure(task),
        "completed_at": told,
        **_address(event),
    }


def _job_result(event: Event, completed_at: str) -> dict[str, Any]:
    """A completed job; name and parameters are null where neither the event's result nor the task's record has them."""
    result = event.result if isinstance(event.result, dict) else {}
    given = {} if event.task.payload.text is None else from_text(event.task.payload.text)
    submitted = given if isinstance(given, dict) else {}
    known = {name: result.get(name, submitted.get(name)) for name in ("name", "parameters")}
    rest = {name: value for name, value in result.items() if name not in known}
    return {
        **known,
        "completed_at": completed_at,
        "result_data": rest if isinstance(event.result, dict) else event.result,
    }


BUILDERS: Final[Mapping[str, Builder]] = {TASK_EXECUTION: task_execution_body}
"""The builders of contracts that want another body, by the contract's name (``Task.contract``)."""


def body_of(event: Event, contract: str | None, builders: Mapping[str, Builder] = BUILDERS) -> dict[str, Any]:
    """The body in the words of ``contract``; None, or a contract without a body of its own, means the standard one."""
    return builders.get(contract or "", standard_body)(event)
