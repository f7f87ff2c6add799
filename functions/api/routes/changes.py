"""What can be done to a task that exists: call it off, put it off, let it begin again."""

import logging
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.openapi import TASK_HEADERS
from api.openapi import problems as may_answer
from api.representation import answer, outline, whole
from api.request import checked_id, services_of
from api.schemas import TaskChange
from api.views import TaskView
from tasklane.task import Status, Task

logger = logging.getLogger("tasklane.api")

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=JsonRoute)

_CANCEL: Final[dict[str, Any]] = {
    "response_model": TaskView,
    "summary": "Cancel a task",
    "response_description": "Cancelled: it was waiting, and never starts (again).",
    "responses": {
        200: {"headers": TASK_HEADERS},
        202: {
            "model": TaskView,
            "headers": TASK_HEADERS,
            "description": "Requested: it is running, and its handler will hear of it. Its `cancel_requested` is true.",
        },
        **may_answer(problems.TASK_NOT_FOUND, problems.INVALID_TRANSITION, problems.UNAVAILABLE),
    },
}


@router.post("/{task_id}/cancel", **_CANCEL)
@router.delete("/{task_id}", **_CANCEL)
def cancel_task(request: Request, task_id: str) -> Response:
    """Call a task off. One that waits is cancelled at once.

    One that runs is cancelled as soon as its handler lets go: an async one within seconds, a plain one at its next
    `progress`. Should it end before, its outcome stands. A final task cannot be cancelled (409).
    """
    task = services_of(request).manage.cancel(checked_id(task_id))
    return _answer(request, task, "cancel", 202 if task.status is Status.RUNNING else 200)


@router.post(
    "/{task_id}/retry",
    status_code=202,
    response_model=TaskView,
    summary="Retry a task",
    response_description="Accepted: it begins again, and will reach a final status once more.",
    responses={
        202: {"headers": TASK_HEADERS},
        **may_answer(problems.TASK_NOT_FOUND, problems.INVALID_TRANSITION, problems.UNAVAILABLE),
    },
)
def retry_task(request: Request, task_id: str) -> Response:
    """Let a failed, cancelled or expired task begin again at once, with as many more attempts as it had.

    Its id, its history and the state that its handler left are kept; its callback is sent again at its end. An
    `expires_at` that has passed is dropped. A task that waits, runs or has completed cannot be retried (409).
    """
    return _answer(request, services_of(request).manage.retry(checked_id(task_id)), "retry", 202)


@router.patch(
    "/{task_id}",
    response_model=TaskView,
    summary="Reschedule a task",
    response_description="The task as it is now.",
    responses={
        200: {"headers": TASK_HEADERS},
        **may_answer(
            problems.INVALID_JSON,
            problems.TASK_NOT_FOUND,
            problems.INVALID_TRANSITION,
            problems.TOO_LARGE,
            problems.UNSUPPORTED_MEDIA_TYPE,
            problems.INVALID_REQUEST,
            problems.UNAVAILABLE,
        ),
    },
)
def reschedule_task(request: JsonRequest, task_id: str, body: TaskChange) -> Response:
    """Give a task that waits another start or another priority, in the manner of JSON Merge Patch (RFC 7396).

    `run_at` null means at once; a field that is missing stays. A task that waits for its next attempt is waiting too;
    one that runs or is final cannot be rescheduled (409).
    """
    task = services_of(request).manage.reschedule(
        checked_id(task_id), run_at=body.new_run_at, priority=body.new_priority
    )
    return _answer(request, task, "reschedule", 200)


def _answer(request: Request, task: Task, action: str, status: int) -> Response:
    extra = {"action": action, "task_id": task.id, "task_type": task.type, "status": task.status.value}
    logger.info("A task was changed by hand.", extra=extra)
    services = services_of(request)
    known = outline(task, services.clock.now())
    # The change is made: a document that cannot be fetched must not turn the answer into "send it again".
    return answer(known, whole(services, known, fetch=False), status)
