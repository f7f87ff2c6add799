"""Contract 2, the Task Queue API: tasks with priorities, whose result is JSON as a string."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import problems
from api.body import JsonRequest
from api.contracts import common
from api.representation import LAMBDA_ANSWER, fitting_texts
from api.schemas import Name, Priority
from tasklane.bootstrap import Services
from tasklane.document import from_text
from tasklane.errors import UnknownTaskType
from tasklane.task import DEFAULT_PRIORITY, Task
from tasklane.timestamps import rfc3339
from tasklane.view import simple_status

NAME: Final = "task-queue"
TAG: Final = "contract 2: task queue"
UNKNOWN_TYPE: Final = replace(problems.UNKNOWN_TASK_TYPE, status=400)

_Status = Literal["pending", "running", "completed", "failed"]


class TaskQueueRequest(BaseModel):
    """A task of contract 2."""

    model_config = ConfigDict(strict=True, extra="forbid")

    task_type: Name = Field(examples=["FibonacciTask"])
    input_data: dict[str, Any] = Field(description="The handler's input.", examples=[{"n": 10}])
    priority: Priority = Field(default=DEFAULT_PRIORITY, description="5 is highest, 1 is last.")


class TaskQueueCreated(BaseModel):
    """What contract 2 says of a new task."""

    id: str
    task_type: str = Field(examples=["FibonacciTask"])
    status: _Status = Field(examples=["pending"])
    priority: int = Field(examples=[3])
    created_at: datetime


class TaskQueueTask(TaskQueueCreated):
    """A task in contract 2's words."""

    input_data: Any = Field(description="Null where it is too large to be in here: `/v1/tasks/{id}/payload` has it.")
    result: str | None = Field(
        description="JSON as a string; null until it is completed, and where it is too large to be in here: "
        "`/v1/tasks/{id}/result` has it.",
        examples=['{"result":55}'],
    )
    updated_at: datetime = Field(description="When it last started or ended, or else was created.")


def submit(request: JsonRequest, body: TaskQueueRequest, idempotency_key: str | None) -> Response:
    """Accept a task."""
    wish = common.Wish(
        contract=NAME,
        type=body.task_type,
        type_pointer="/task_type",
        payload=body.input_data,
        payload_pointer="/input_data",
        priority=body.priority,
    )
    try:
        submitted = common.submit(request, wish, idempotency_key)
    except UnknownTaskType as exc:
        detail = f"{exc.detail} Known task types: {', '.join(exc.known)}."
        return problems.problem(request, UNKNOWN_TYPE, detail, exc.issues)
    return common.accepted(submitted, 201, _created(submitted.task))


def view(services: Services, task: Task) -> dict[str, Any]:
    """See common.View."""
    # Its quotes are escaped twice, in the string and in a Lambda's answer: half the room keeps it within an answer.
    documents = {"payload": task.payload} | ({"result": task.result} if task.result else {})
    texts = fitting_texts(services, documents, limit=LAMBDA_ANSWER // 2)
    return _created(task) | {
        "input_data": from_text(texts["payload"]) if "payload" in texts else None,
        "result": texts.get("result"),
        "updated_at": rfc3339(task.finished_at or task.started_at or task.created_at),
    }


def _created(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "task_type": task.type,
        "status": simple_status(task).value,
        "priority": task.priority,
        "created_at": rfc3339(task.created_at),
    }
