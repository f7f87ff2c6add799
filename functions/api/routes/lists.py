"""``/v1/tasks`` as a whole: list tasks, and remove some."""

import logging
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import cursor as cursors
from api import problems
from api.body import JsonRoute
from api.fields import MAX_NAME
from api.openapi import ASK_AGAIN
from api.openapi import problems as may_answer
from api.representation import outline, whole
from api.request import services_of
from api.schemas import RemoveRequest
from api.views import RemovedView, TasksView
from tasklane.listing import Wanted
from tasklane.task import Status

logger = logging.getLogger("tasklane.api")

MAX_LIMIT: Final = 100

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=JsonRoute)


@router.get(
    "",
    response_model=TasksView,
    summary="List tasks",
    response_description="A page of tasks.",
    responses={200: {"headers": ASK_AGAIN}, **may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE)},
)
def list_tasks(
    request: Request,
    order: Annotated[Literal["newest", "oldest"], Query(description="Which come first, by creation.")] = "newest",
    status: Annotated[
        Status | None,
        Query(
            description="Only tasks in this status. Failed, cancelled and expired ones are kept in an index of their "
            "own: they are found among millions, and come in the order of their ends."
        ),
    ] = None,
    type: Annotated[  # noqa: A002 - the parameter's name
        str | None, Query(min_length=1, max_length=MAX_NAME, description="Only tasks of this type.")
    ] = None,
    label: Annotated[
        str | None,
        Query(min_length=2, max_length=400, description="Only tasks with this label: `key:value`."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")] = 50,
    cursor: Annotated[
        str, Query(max_length=cursors.MAX_CURSOR, description="`next_cursor` of the page before, with the same order.")
    ] = "",
) -> Response:
    """Tasks, the newest first. Large payloads and results are not in the list; their URLs are.

    A filter looks at 1,000 tasks per request, so a page may have fewer entries than asked for, even none, and still
    have a `next_cursor`: go on until it is null. A task that has just been accepted may be missing for a second.
    """
    services = services_of(request)
    wanted = Wanted(status=status, type=type, label=label, newest=order == "newest")
    of_list = f"{'ends' if wanted.by_end else 'tasks'}-{order}"
    page = services.list_tasks(wanted, limit, cursors.read(of_list, cursor))
    now = services.clock.now()
    tasks = b",".join(whole(services, outline(task, now), fetch=False) for task in page.tasks)
    following = cursors.write(of_list, page.next)
    tail = b"null" if following is None else f'"{following}"'.encode()
    content = b'{"tasks":[' + tasks + b'],"next_cursor":' + tail + b"}"
    return Response(content, headers={"cache-control": "no-cache"}, media_type="application/json")


@router.post(
    "/remove",
    response_model=RemovedView,
    summary="Remove tasks",
    response_description="What became of them.",
    responses=may_answer(
        problems.INVALID_JSON,
        problems.TOO_LARGE,
        problems.UNSUPPORTED_MEDIA_TYPE,
        problems.INVALID_REQUEST,
        problems.UNAVAILABLE,
    ),
)
def remove_tasks(request: Request, body: RemoveRequest) -> Response:
    """Forget tasks before their retention ends, with their payloads and results. It cannot be undone.

    A task that waits never starts, and nobody is told of it. One that runs is left alone, as is one whose callback is
    still on its way: cancel the one, let the other be delivered. The same request again removes nothing more, since a
    task that is not there counts as gone.
    """
    done = services_of(request).remove_tasks(body.ids)
    left = [{"id": task.id, "status": task.status.value, "reason": reason.value} for task, reason in done.left]
    extra = {"action": "remove", "removed": len(done.removed), "gone": len(done.gone), "left": len(left)}
    logger.info("Tasks were removed by hand.", extra=extra | {"task_ids": list(done.removed)})
    return JSONResponse({"removed": len(done.removed), "gone": len(done.gone), "left": left})
