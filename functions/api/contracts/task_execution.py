"""Contract 3, the task execution API: a simulated job whose status is streamed, and told to a callback."""

from typing import Any, Final, get_args

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.contracts import common
from api.contracts.views import ExecutionAccepted, InItsWords
from api.fields import CallbackUrl, IdempotencyKey
from api.openapi import ASK_AGAIN, REPLAYED
from api.openapi import problems as may_answer
from api.stream import stream
from tasklane.bootstrap import Services
from tasklane.callback_body import TASK_EXECUTION
from tasklane.task import Status, Task
from tasklane.view import failure, simple_status

NAME: Final = TASK_EXECUTION
TAG: Final = "contract 3: task execution"
JOB: Final = "simulated_job"

router = APIRouter(prefix="/api/tasks", tags=[TAG], route_class=JsonRoute)


_EVENT: Final[dict[str, Any]] = {
    "description": "One event.",
    "type": "object",
    "required": ["data", "id"],
    "properties": {
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "anyOf": [{"$ref": f"#/components/schemas/{one.__name__}"} for one in get_args(InItsWords)]
            },
        },
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "retry": {"type": "integer", "description": "Milliseconds after which to reconnect."},
    },
}


class ExecutionRequest(BaseModel):
    """A job of contract 3."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str = Field(description="What you call the job.", examples=["nightly report"])
    parameters: dict[str, Any] = Field(
        default={},
        description="`steps` and `step_seconds` say how long it takes; whatever else is there is given back.",
        examples=[{"steps": 3, "step_seconds": 0.5}],
    )
    callback_url: CallbackUrl | None = Field(
        default=None, description="Where its end is told.", examples=["https://example.com/hooks/tasks"]
    )


@router.post(
    "",
    response_model=ExecutionAccepted,
    summary="Submit a job",
    response_description="Accepted: the task is kept and will reach a final status.",
    responses={200: {"headers": REPLAYED}, **may_answer(*problems.OF_A_SUBMISSION)},
)
def submit(request: JsonRequest, body: ExecutionRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """A simulated long job of steps, which reports its progress and tells its end to the callback."""
    wish = common.Wish(
        contract=NAME,
        type=JOB,
        payload={"name": body.name, "parameters": body.parameters},
        callback_url=None if body.callback_url is None else str(body.callback_url),
    )
    submitted = common.submit(request, wish, idempotency_key)
    return common.accepted(submitted, 200, {"task_id": submitted.task.id})


@router.get(
    "/{task_id}",
    response_class=Response,
    summary="Watch a task",
    responses={
        200: {
            "description": "Server-sent events, each with the object of `/state` as `data`: at once, every 5 seconds, "
            "and when the task has ended; then the stream closes.",
            "content": {"text/event-stream": {"schema": _EVENT}},
            "headers": ASK_AGAIN | {"X-Accel-Buffering": {"description": "no", "schema": {"const": "no"}}},
        },
        204: {"description": "The event that `Last-Event-ID` names was the last one."},
        **may_answer(problems.TASK_NOT_FOUND, problems.UNAVAILABLE),
    },
    openapi_extra={
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The `id` of the last event that you have; EventSource sends it when it reconnects.",
                "schema": {"type": "string"},
            }
        ]
    },
)
async def watch(request: Request, task_id: str) -> Response:
    """The task's status as it changes.

    A deployed API cannot stream: it answers the first request with one event, and each further one with the next,
    after at most 5 seconds. EventSource reconnects by itself, so that it sees the same.
    """
    return await stream(request, task_id, lambda task: common.words_of(request, task, view))


@router.get(
    "/{task_id}/state",
    response_model=InItsWords,
    summary="See a task (contract 3)",
    response_description="The task, in the words of the contract that it was submitted through.",
    responses={200: {"headers": ASK_AGAIN}, **may_answer(problems.TASK_NOT_FOUND, problems.UNAVAILABLE)},
)
def get_state(request: Request, task_id: str) -> Response:
    """What the stream tells, once."""
    return common.answer(request, common.read(request, task_id), view)


def view(_: Services, task: Task) -> dict[str, Any]:
    """See common.View."""
    status = simple_status(task)
    said = task.progress.message if task.progress else None
    fraction = task.progress.fraction if task.progress else 0.0
    return {
        "task_id": task.id,
        "status": status.value.upper(),
        "progress": 1.0 if status is Status.COMPLETED else fraction,
        "message": failure(task) or said or status.value,
    }
