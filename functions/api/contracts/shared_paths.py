"""``/tasks``, which contracts 2 and 4 share: ``input_data`` in a body means contract 2, ``payload`` contract 4."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Discriminator, Tag
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.contracts import async_processor, common, task_queue
from api.contracts.async_processor import ProcessorRequest
from api.contracts.task_queue import TaskQueueRequest
from api.contracts.views import InItsWords, ProcessorTask, TaskQueueCreated, UnknownId
from api.fields import IdempotencyKey
from api.openapi import ASK_AGAIN, REPLAYED
from api.openapi import problems as may_answer
from api.request import MAX_ID
from tasklane.errors import TaskNotFound

router = APIRouter(tags=[task_queue.TAG, async_processor.TAG], route_class=JsonRoute)

_SUBMIT: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_model": TaskQueueCreated,
    "summary": "Submit a task (contracts 2 and 4)",
    "response_description": "Contract 2: the task was created.",
    "responses": {
        200: {"model": ProcessorTask, "description": "Contract 4: the task is queued.", "headers": REPLAYED},
        201: {"headers": REPLAYED},
        **may_answer(task_queue.UNKNOWN_TYPE, *problems.OF_A_SUBMISSION),
    },
}


def _meant(body: Any) -> str | None:
    marks = [f"[{mark}]" for mark in ("input_data", "payload") if isinstance(body, dict) and mark in body]
    return marks[0] if len(marks) == 1 else None


Body = Annotated[
    Annotated[TaskQueueRequest, Tag("[input_data]")] | Annotated[ProcessorRequest, Tag("[payload]")],
    Discriminator(
        _meant,
        custom_error_type="two_contracts",
        custom_error_message="Must be an object with input_data (contract 2) or payload (contract 4), not both",
    ),
]


@router.post("/tasks", **_SUBMIT)
@router.post("/tasks/", **_SUBMIT)
def submit(request: JsonRequest, body: Body, idempotency_key: IdempotencyKey = None) -> Response:
    """Accept a task: with `input_data` it is contract 2's, with `payload` contract 4's."""
    if isinstance(body, TaskQueueRequest):
        return task_queue.submit(request, body, idempotency_key)
    return async_processor.submit(request, body, idempotency_key)


@router.get(
    "/tasks/{task_id}",
    response_model=InItsWords,
    summary="See a task (contracts 2 and 4)",
    response_description="The task, in the words of the contract that it was submitted through.",
    responses={
        200: {"headers": ASK_AGAIN},
        **may_answer(problems.UNAVAILABLE),
        404: {"model": UnknownId, "description": "There is no such task."},
    },
)
def get_task(request: Request, task_id: str) -> Response:
    """A task in the words of its own contract; one of `/v1` in those of contract 2."""
    try:
        return common.answer(request, common.read(request, task_id), task_queue.view)
    except TaskNotFound:
        # Contract 4 has words where problem documents have the status code, so that this is none.
        detail = "There is no task with this id; it never existed or its retention has ended."
        return problems.problem(
            request,
            problems.TASK_NOT_FOUND,
            detail,
            media_type="application/json",
            task_id=task_id[:MAX_ID],
            status="not_found",
        )
