"""Contract 5, the task throttler: four kinds of task, each with a path of its own."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, HttpUrl
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.contracts import common
from api.contracts.views import InItsWords, ThrottlerAccepted
from api.fields import IdempotencyKey, ThrottleKeys
from api.openapi import ASK_AGAIN, REPLAYED
from api.openapi import problems as may_answer
from api.representation import fitting_texts
from api.request import services_of
from tasklane.bootstrap import Services
from tasklane.document import from_text
from tasklane.registry import MAX_TIMEOUT_SECONDS
from tasklane.task import Task
from tasklane.view import shown_status

NAME: Final = "task-throttler"
TAG: Final = "contract 5: task throttler"

router = APIRouter(prefix="/api/v1/task", tags=[TAG], route_class=JsonRoute)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    throttle_keys: ThrottleKeys = Field(
        default=[], description="Whose limits hold for it.", examples=[["cluster", "account:42"]]
    )


class GreetingRequest(_Body):
    """Whom to greet."""

    name: str = Field(examples=["Ada"])


class DownloadRequest(_Body):
    """What to download."""

    url: Annotated[HttpUrl, Field(examples=["https://example.com/"])]


class LongTaskRequest(_Body):
    """How long to sleep."""

    duration: float = Field(
        ge=0, le=MAX_TIMEOUT_SECONDS - 60, allow_inf_nan=False, description="Seconds.", examples=[1.5]
    )


_SUBMIT: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": ThrottlerAccepted,
    "response_description": "Accepted: the task is kept and will reach a final status.",
    "responses": {202: {"headers": REPLAYED}, **may_answer(*problems.OF_A_SUBMISSION)},
}


@router.post("/greeting", summary="Greet somebody", **_SUBMIT)
def greeting(request: JsonRequest, body: GreetingRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """The result is `Hello, NAME!`."""
    return _submit(request, "greeting", body, idempotency_key)


@router.post("/download", summary="Download a public URL", **_SUBMIT)
def download(request: JsonRequest, body: DownloadRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """The result has the content's length, type and digest, and where it is kept."""
    return _submit(request, "download", body, idempotency_key)


@router.post("/blocking_long_running_task", summary="Sleep, holding a thread", **_SUBMIT)
def blocking_long_running_task(
    request: JsonRequest, body: LongTaskRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Sleeps for `duration` seconds."""
    return _submit(request, "blocking_long_running_task", body, idempotency_key)


@router.post("/non_blocking_long_running_task", summary="Sleep, letting others go on", **_SUBMIT)
def non_blocking_long_running_task(
    request: JsonRequest, body: LongTaskRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Sleeps for `duration` seconds."""
    return _submit(request, "non_blocking_long_running_task", body, idempotency_key)


@router.get(
    "/result/{task_id}",
    response_model=InItsWords,
    summary="See a task and its result (contract 5)",
    response_description="The task, in the words of the contract that it was submitted through.",
    responses={200: {"headers": ASK_AGAIN}, **may_answer(problems.TASK_NOT_FOUND, problems.UNAVAILABLE)},
)
def get_result(request: Request, task_id: str) -> Response:
    """Status and result of a task."""
    return common.answer(request, common.read(request, task_id), view)


def view(services: Services, task: Task) -> dict[str, Any]:
    """See common.View."""
    texts = fitting_texts(services, {"result": task.result} if task.result else {})
    return _accepted(services, task) | {"result": from_text(texts["result"]) if "result" in texts else None}


def _submit(request: JsonRequest, kind: str, body: _Body, idempotency_key: str | None) -> Response:
    wish = common.Wish(
        contract=NAME,
        type=kind,
        payload=body.model_dump(mode="json", exclude={"throttle_keys"}),
        throttle_keys=body.throttle_keys,
    )
    submitted = common.submit(request, wish, idempotency_key)
    return common.accepted(submitted, 202, _accepted(services_of(request), submitted.task))


def _accepted(services: Services, task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "status": shown_status(task, services.clock.now()).value}
