"""Contract 4, the async task processor: the smallest one."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.body import JsonRequest
from api.contracts import common
from api.fields import Name
from tasklane.bootstrap import Services
from tasklane.task import Status, Task
from tasklane.view import simple_status

NAME: Final = "async-processor"
TAG: Final = "contract 4: async task processor"
STATUSES: Final[Mapping[Status, str]] = {
    Status.PENDING: "queued",
    Status.RUNNING: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}


class ProcessorRequest(BaseModel):
    """A task of contract 4."""

    model_config = ConfigDict(strict=True, extra="forbid")

    task_type: Name = Field(examples=["send_email"])
    payload: dict[str, Any] = Field(
        description="The handler's input.",
        examples=[{"to": "ada@example.com", "subject": "Your order", "body": "It is on its way."}],
    )


def submit(request: JsonRequest, body: ProcessorRequest, idempotency_key: str | None) -> Response:
    """Accept a task."""
    wish = common.Wish(
        contract=NAME,
        type=body.task_type,
        type_pointer="/task_type",
        payload=body.payload,
        payload_pointer="/payload",
    )
    submitted = common.submit(request, wish, idempotency_key)
    return common.accepted(submitted, 200, _words(submitted.task))


def view(_: Services, task: Task) -> dict[str, Any]:
    """See common.View."""
    return _words(task)


def _words(task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "status": STATUSES[simple_status(task)]}
