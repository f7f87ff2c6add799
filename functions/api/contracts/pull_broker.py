"""Contract 1, the pull broker: external workers fetch work over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.contracts import common
from api.contracts.views import BrokerAccepted, BrokerResult, BrokerTask, BrokerWork, InItsWords
from api.fields import IdempotencyKey, Name, TaskId
from api.long_poll import MAX_WAIT, first
from api.openapi import ASK_AGAIN, REPLAYED
from api.openapi import problems as may_answer
from api.representation import fitting_texts
from api.request import MAX_ID, checked_id, services_of
from tasklane.bootstrap import Services
from tasklane.document import from_text
from tasklane.errors import TaskNotFound, Unavailable
from tasklane.lease import Holder
from tasklane.task import Status, Task
from tasklane.view import simple_status

NAME: Final = "pull-broker"
TAG: Final = "contract 1: pull broker"
STATUSES: Final = {
    Status.PENDING: "pending",
    Status.RUNNING: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}
NOTHING: Final = {"task_id": None, "function": None, "data": None}
TEXT: Final = {"type": "string"}
FETCH: Final = "/get_task"
AGAIN: Final = "~"
"""Separates a task's id from the number of its lease, in the ids that its second and later holders get."""

router = APIRouter(tags=[TAG], route_class=JsonRoute)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class EnqueueRequest(_Body):
    """A task of contract 1."""

    function: Name = Field(description="What an external worker is to do.", examples=["resize"])
    data: list[Any] = Field(description="What it is to be done with.", examples=[["photo.jpg", 640]])


class ResultRequest(_Body):
    """How it ended."""

    task_id: TaskId = Field(description="As `/get_task` gave it.")
    result: Any = Field(description="Any JSON.", examples=[{"width": 640}])


@router.post(
    "/enqueue",
    response_model=BrokerAccepted,
    summary="Enqueue a task for external workers",
    response_description="The task is kept until somebody fetches it.",
    responses={200: {"headers": REPLAYED}, **may_answer(*problems.OF_A_SUBMISSION)},
)
def enqueue(request: JsonRequest, body: EnqueueRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """Any function: external workers own these names."""
    wish = common.Wish(
        contract=NAME,
        type=body.function,
        type_pointer="/function",
        payload=body.data,
        payload_pointer="/data",
        external=True,
    )
    submitted = common.submit(request, wish, idempotency_key)
    return common.accepted(submitted, 200, _status(submitted.task))


@router.get(
    FETCH,
    response_model=BrokerTask | BrokerWork,
    summary="Fetch a task",
    response_description="A task, which is this worker's while its lease lasts; all null: there is none.",
    responses={
        200: {"headers": {"Cache-Control": {"description": "no-store: this is nobody else's.", "schema": TEXT}}},
        **may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
    },
)
async def get_task(
    request: Request,
    function: Annotated[Name | None, Query(description="Only tasks of this function.")] = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT, allow_inf_nan=False, description="Seconds to wait for one.")] = 0,
) -> Response:
    """First in, first out. A task whose result does not come in time goes out again.

    In time is before its lease ends: 60 seconds, or `timeout_seconds` of its task type.
    """
    task = await first(request, [] if function is None else [function], wait)
    content = NOTHING if task is None else await run_in_threadpool(_work, request, task)
    return common.json_answer(content, 200, {"cache-control": "no-store"})


@router.post(
    "/submit_result",
    response_model=BrokerResult,
    summary="Submit a result",
    responses=may_answer(
        problems.INVALID_JSON,
        problems.UNSUPPORTED_MEDIA_TYPE,
        problems.TOO_LARGE,
        problems.INVALID_REQUEST,
        problems.TASK_NOT_FOUND,
        problems.LEASE_LOST,
        problems.UNAVAILABLE,
    ),
)
def submit_result(request: JsonRequest, body: ResultRequest) -> Response:
    """The task is completed. Refused (409) where another worker has fetched the task since."""
    task_id, attempt = _parts(body.task_id)
    services_of(request).leases.complete(checked_id(task_id), Holder(attempt=attempt), body.result)
    return common.json_answer({"status": "completed", "task_id": body.task_id}, 200, {})


@router.get(
    "/result/{task_id}",
    response_model=InItsWords,
    summary="See a task and its result (contract 1)",
    response_description="The task, in the words of the contract that it was submitted through.",
    responses={200: {"headers": ASK_AGAIN}, **may_answer(problems.TASK_NOT_FOUND, problems.UNAVAILABLE)},
)
def get_result(request: Request, task_id: str) -> Response:
    """Status and result of a task."""
    return common.answer(request, common.read(request, _parts(task_id)[0]), view)


def view(services: Services, task: Task) -> dict[str, Any]:
    """See common.View."""
    texts = fitting_texts(services, {"result": task.result} if task.result else {})
    return _status(task) | {"result": from_text(texts["result"]) if "result" in texts else None}


def _status(task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "status": STATUSES[simple_status(task)]}


def _work(request: Request, task: Task) -> dict[str, Any]:
    services = services_of(request)
    try:
        data = from_text(services.read.text(task.payload))
    except Unavailable:
        services.fetch.give_back([task])
        raise
    # The words of this contract name no lease, and its first holder gets the id that the task was submitted with.
    task_id = task.id if task.attempt == 1 else f"{task.id}{AGAIN}{task.attempt}"
    # Submitted through /v1, it may be an object; the workers of this contract spread a list.
    return {"task_id": task_id, "function": task.type, "data": data if isinstance(data, list) else [data]}


def _parts(task_id: str) -> tuple[str, int]:
    """A task's id and the number of the lease, from an id as ``get_task`` gives it. Raises TaskNotFound."""
    known, again, attempt = task_id[: MAX_ID + 1].partition(AGAIN)
    if not again:
        return known, 1
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) < 10):
        raise TaskNotFound(task_id)
    return known, int(attempt)
