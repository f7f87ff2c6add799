"""Contract 2, the Task Queue API: tasks with priorities, whose result is JSON as a string."""

from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import problems
from api.body import JsonRequest
from api.contracts import common
from api.fields import Name, Priority
from api.representation import LAMBDA_ANSWER, fitting_texts
from tasklane.bootstrap import Services
from tasklane.document import from_text
from tasklane.errors import UnknownTaskType
from tasklane.task import DEFAULT_PRIORITY, Task
from tasklane.timestamps import rfc3339
from tasklane.view import simple_status

NAME: Final = "task-queue"
TAG: Final = "contract 2: task queue"
UNKNOWN_TYPE: Final = replace(problems.UNKNOWN_TASK_TYPE, status=400)


class TaskQueueRequest(BaseModel):
    """A task of contract 2."""

    model_config = ConfigDict(strict=True, extra="forbid")

    task_type: Name = Field(examples=["FibonacciTask"])
    input_data: dict[str, Any] = Field(description="The handler's input.", examples=[{"n": 10}])
    priority: Priority = Field(default=DEFAULT_PRIORITY, description="5 is highest, 1 is last.")


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
        detail = f"{exc.detail} {exc.hint}"
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
