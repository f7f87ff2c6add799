"""``/v1/leases``: for external workers, which fetch tasks over HTTP and say how the work ended."""

import json
import logging
from typing import Any, Final

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.lease_schemas import (
    CompleteRequest,
    FailRequest,
    HeartbeatRequest,
    HeldView,
    LeaseRequest,
    LeasesView,
    holder_of,
)
from api.long_poll import fetched, texts_of
from api.openapi import TASK_HEADERS
from api.openapi import problems as may_answer
from api.representation import answer, outline, whole
from api.request import checked_id, services_of
from api.views import TaskView
from tasklane.errors import Unavailable
from tasklane.lease import Failure, Holder
from tasklane.task import Progress, Task
from tasklane.timestamps import rfc3339

logger = logging.getLogger("tasklane.api")

router = APIRouter(prefix="/v1/leases", tags=["leases"], route_class=JsonRoute)

_BODY: Final = (
    problems.INVALID_JSON,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.TOO_LARGE,
    problems.INVALID_REQUEST,
    problems.UNAVAILABLE,
)
_ENDS: Final[dict[str, Any]] = {
    "response_model": TaskView,
    "responses": {
        200: {"headers": TASK_HEADERS},
        **may_answer(*_BODY, problems.TASK_NOT_FOUND, problems.LEASE_LOST),
    },
}


@router.post(
    "",
    response_model=LeasesView,
    summary="Fetch tasks",
    response_description="The tasks that are this worker's now; none, where there were none in time.",
    responses=may_answer(*_BODY),
)
async def lease_tasks(request: JsonRequest, body: LeaseRequest) -> Response:
    """Lease tasks whose types have no handler here: the highest priority first, then first come, first served.

    Nobody else gets them while the lease lasts; after that they go out again, as another attempt. Waits for the first
    task, not for `max` of them. Where nothing is there, looking costs one query of the table for each of `functions`.
    """
    tasks = await fetched(request, body.functions, body.max, body.wait_seconds, body.lease_seconds)
    content = await run_in_threadpool(_leases, request, tasks, body.lease_seconds)
    logger.info("Tasks were leased.", extra={"action": "leased", "task_ids": [task.id for task in tasks]})
    return Response(content, 200, media_type="application/json")


@router.post(
    "/{task_id}/heartbeat",
    response_model=HeldView,
    summary="Renew a lease",
    responses=may_answer(*_BODY, problems.TASK_NOT_FOUND, problems.LEASE_LOST),
)
def renew_lease(request: JsonRequest, task_id: str, body: HeartbeatRequest) -> Response:
    """Say that the work goes on: the lease begins anew. `cancel_requested` tells when it need not."""
    said = body.progress
    progress = None if said is None else Progress(fraction=round(said.fraction, 4), message=said.message)
    task = services_of(request).leases.heartbeat(
        checked_id(task_id),
        holder_of(body.lease_token),
        lease_seconds=body.lease_seconds,
        progress=progress,
        state=body.state,
    )
    until = rfc3339(task.lease_until or task.created_at)
    return JSONResponse({"id": task.id, "lease_until": until, "cancel_requested": task.cancel_requested})


@router.post("/{task_id}/complete", summary="Complete a leased task", **_ENDS)
def complete_task(request: JsonRequest, task_id: str, body: CompleteRequest) -> Response:
    """The work is done, and `result` is the task's result.

    Sent again with the same token and the same result it changes nothing. A worker that is late is heard as long as
    nobody else holds the task; then it is refused (409).
    """
    task = services_of(request).leases.complete(checked_id(task_id), holder_of(body.lease_token), body.result)
    return _shown(request, task)


@router.post("/{task_id}/fail", summary="Fail a leased task", **_ENDS)
def fail_task(request: JsonRequest, task_id: str, body: FailRequest) -> Response:
    """The attempt failed. What follows is the retry policy's to say, unless `retryable` or `retry_after` do.

    A task that was called off meanwhile is cancelled. Sent again with the same token it changes nothing.
    """
    failure = Failure(
        type=body.error.type, message=body.error.message, retryable=body.retryable, retry_after=body.retry_after
    )
    return _shown(request, services_of(request).leases.fail(checked_id(task_id), holder_of(body.lease_token), failure))


def _shown(request: Request, task: Task) -> Response:
    services = services_of(request)
    known = outline(task, services.clock.now())
    return answer(known, whole(services, known, fetch=False))


def _leases(request: Request, tasks: list[Task], lease_seconds: int | None) -> bytes:
    """The leases as JSON; payloads are spliced in as they are kept."""
    payloads = texts_of(request, tasks)
    entries = []
    for task in tasks:
        url = None if task.id in payloads else f"/v1/tasks/{task.id}/payload"
        entry = {**_lease(task, lease_seconds), "payload_url": url}
        known = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        entries.append(f'{known[:-1]},"payload":{payloads.get(task.id, "null")},"state":{_state(request, task)}}}')
    return f'{{"leases":[{",".join(entries)}]}}'.encode("utf-8", "replace")


def _lease(task: Task, lease_seconds: int | None) -> dict[str, Any]:
    return {
        "id": task.id,
        "type": task.type,
        "lease_token": Holder.of(task, lease_seconds).token,
        "lease_until": rfc3339(task.lease_until or task.created_at),
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "priority": task.priority,
        "tenant": task.tenant,
        "labels": dict(task.labels),
        "created_at": rfc3339(task.created_at),
        "progress": task.progress and {"fraction": task.progress.fraction, "message": task.progress.message},
    }


def _state(request: Request, task: Task) -> str:
    if task.state is None:
        return "null"
    try:
        return services_of(request).read.text(task.state)
    except Unavailable:
        # The attempt can do without; it cannot be taken back here.
        logger.warning("A state could not be read.", extra={"action": "state_unread", "task_id": task.id})
        return "null"
