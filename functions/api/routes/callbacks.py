"""``/v1/callbacks``: what could not be delivered, and how to send it again."""

import logging
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import cursor as cursors
from api import problems
from api.body import JsonRoute
from api.openapi import TASK_HEADERS
from api.openapi import problems as may_answer
from api.representation import answer, outline, whole
from api.request import checked_id, services_of
from api.views import TaskView, UndeliveredView
from tasklane.task import Task
from tasklane.timestamps import rfc3339
from tasklane.view import callback_view

logger = logging.getLogger("tasklane.api")

MAX_LIMIT: Final = 100
LIST: Final = "callbacks"

router = APIRouter(prefix="/v1", tags=["callbacks"], route_class=JsonRoute)


@router.get(
    "/callbacks",
    response_model=UndeliveredView,
    summary="List undelivered callbacks",
    response_description="Tasks whose callback was given up, the latest first.",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def list_callbacks(
    request: Request,
    state: Annotated[
        Literal["undelivered"], Query(description="Which callbacks; those that were given up are kept in a list.")
    ] = "undelivered",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")] = 50,
    cursor: Annotated[str, Query(max_length=cursors.MAX_CURSOR, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """Callbacks that were tried for days, or that their receiver answered with 410.

    A page may have fewer entries than asked for, even none, and still have a `next_cursor`: go on until it is null.
    """
    del state  # there is one list
    page = services_of(request).list_callbacks.undelivered(limit, cursors.read(LIST, cursor))
    content = {"callbacks": [_entry(task) for task in page.tasks], "next_cursor": cursors.write(LIST, page.next)}
    return JSONResponse(content)


@router.post(
    "/tasks/{task_id}/callback/redeliver",
    status_code=202,
    response_model=TaskView,
    summary="Send a callback again",
    response_description="Accepted: the callback is on its way, from the beginning of its schedule.",
    responses={
        202: {"headers": TASK_HEADERS},
        **may_answer(problems.TASK_NOT_FOUND, problems.INVALID_TRANSITION, problems.UNAVAILABLE),
    },
)
def redeliver_callback(request: Request, task_id: str) -> Response:
    """Send the callback of a final task again, whether it was delivered or given up.

    Its `webhook-id` stays, so a receiver that knows it already can tell. A task without a `callback_url`, or one that
    is not final, has nothing to send (409).
    """
    services = services_of(request)
    task = services.manage.redeliver(checked_id(task_id))
    logger.info("A callback is sent again by hand.", extra={"action": "redeliver", "task_id": task.id})
    known = outline(task, services.clock.now())
    return answer(known, whole(services, known, fetch=False), 202)


def _entry(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "task_type": task.type,
        "task_status": task.status.value,
        "finished_at": rfc3339(task.finished_at or task.created_at),
        "callback": callback_view(task.callback) if task.callback else None,
    }
