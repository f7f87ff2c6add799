"""``/v1/tasks``: submit a task, read it, wait for it."""

import asyncio
import contextlib
import logging
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api import correlation, problems
from api.body import JsonRequest, JsonRoute
from api.fields import IdempotencyKey
from api.openapi import REPLAYED, TASK_HEADERS
from api.openapi import problems as may_answer
from api.representation import (
    Outline,
    answer,
    entity_tags,
    matches,
    not_modified,
    outline,
    read_outline,
    whole,
)
from api.request import caller_of, checked_id, services_of
from api.schemas import TaskRequest, to_submission
from api.views import TaskView
from tasklane import document
from tasklane.errors import Unavailable

logger = logging.getLogger("tasklane.api")

MAX_WAIT: Final = 20
"""Seconds; API Gateway gives up after 30."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 0.5

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=JsonRoute)

_LOCATION: Final = TASK_HEADERS | {
    "Location": {"description": "The task's path.", "required": True, "schema": {"type": "string"}}
}
_IF_NONE_MATCH: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "ETags that you have; while the task's is among them the answer is 304, without a body.",
            "schema": {"type": "string"},
        }
    ]
}


@router.post(
    "",
    status_code=202,
    response_model=TaskView,
    summary="Submit a task",
    response_description="Accepted: the task is kept and will reach a final status.",
    responses={
        200: {
            "model": TaskView,
            "description": "The Idempotency-Key was used before with the same body: this is the task that it made.",
            "headers": _LOCATION | REPLAYED,
        },
        202: {"headers": _LOCATION},
        **may_answer(*problems.OF_A_SUBMISSION),
    },
)
def submit_task(
    request: JsonRequest,
    body: TaskRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Accept a task. It is kept before the answer is sent; from then on it reaches a final status, whatever fails.

    The payload is checked here, against the handler's own model.
    """
    services, known = services_of(request), correlation.of(request.scope)
    submitted = services.submit(
        to_submission(
            body,
            request.value,
            caller=caller_of(request, body.tenant),
            idempotency_key=idempotency_key,
            correlation_id=known.id if known.sent else None,
        )
    )
    task = submitted.task
    logger.info(
        "A task was accepted.",
        extra={"action": "accepted", "task_id": task.id, "task_type": task.type, "replayed": submitted.replayed},
    )
    # A repeated request has the same body: a payload that lies in the blob store need not be fetched from there.
    payload = document.to_text(body.payload) if task.payload.text is None else task.payload.text
    shown = outline(task, services.clock.now())
    response = answer(shown, whole(services, shown, payload), 200 if submitted.replayed else 202)
    response.headers["location"] = f"/v1/tasks/{task.id}"
    if submitted.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


@router.get(
    "/{task_id}",
    response_model=TaskView,
    summary="See a task, or wait for it",
    response_description="The task.",
    responses={
        200: {"headers": TASK_HEADERS},
        304: {"description": "The task is as the If-None-Match says.", "headers": TASK_HEADERS},
        **may_answer(problems.INVALID_PARAMETER, problems.TASK_NOT_FOUND, problems.UNAVAILABLE),
    },
    openapi_extra=_IF_NONE_MATCH,
)
async def get_task(
    request: Request,
    task_id: str,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=MAX_WAIT,
            allow_inf_nan=False,
            description="Seconds to wait for another status or, with If-None-Match, for another ETag. "
            "A final task is answered at once.",
        ),
    ] = 0,
    until: Annotated[
        Literal["change", "final"],
        Query(description="What to wait for: any change (the default), or the end of the task."),
    ] = "change",
) -> Response:
    """Everything about a task. Poll it cheaply with `If-None-Match`, or let the answer wait with `?wait=`.

    Payload and result are in the answer; what is too large for it is null, and its `payload_url` or
    `result_url` is set.
    """
    services = services_of(request)
    tags = entity_tags(",".join(request.headers.getlist("if-none-match")))
    known = await run_in_threadpool(read_outline, services, checked_id(task_id))
    if wait:
        known = await _changed(request, known, tags, wait, final=until == "final")
    if matches(tags, known.etag):
        return not_modified(known)
    if any(part is not None and part.text is None for part in (known.task.payload, known.task.result)):
        return answer(known, await run_in_threadpool(whole, services, known))
    return answer(known, whole(services, known))


async def _changed(request: Request, first: Outline, tags: frozenset[str], seconds: float, *, final: bool) -> Outline:
    """The task once it differs from what the caller knows, or is final, or the time is up; holds no thread.

    ``final``: a difference is not enough.
    """
    clock = asyncio.get_running_loop().time
    known, end, pause = first, clock() + seconds, FIRST_PAUSE
    while not (known.status.final or (not final and _differs(known, first, tags))) and (left := end - clock()) > 0:
        try:
            await asyncio.sleep(min(pause, left))
        except asyncio.CancelledError:  # the server ends: an answer in time is better than a broken connection
            return known
        if await request.is_disconnected():
            raise ClientDisconnect
        pause = min(pause * 1.25, LONGEST_PAUSE)
        with contextlib.suppress(Unavailable):  # the next look may succeed; until then the last one stands
            known = await run_in_threadpool(read_outline, services_of(request), first.task.id)
    return known


def _differs(known: Outline, first: Outline, tags: frozenset[str]) -> bool:
    return not matches(tags, known.etag) if tags else known.status is not first.status
