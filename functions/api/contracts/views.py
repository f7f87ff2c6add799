"""What the contracts answer, described. Answers are not validated again; tests hold them to these models."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from api import problems

# -- contract 1 --------------------------------------------------------------------------------------------------------


class BrokerAccepted(BaseModel):
    """What contract 1 says of a new task."""

    task_id: str
    status: Literal["pending", "processing", "completed", "failed"] = Field(
        description="failed: it was called off, or has expired, by other means than this contract's.",
        examples=["pending"],
    )


class BrokerWork(BaseModel):
    """Nothing to do."""

    task_id: None
    function: None
    data: None


class BrokerTask(BaseModel):
    """Work for an external worker."""

    task_id: str = Field(description="For `/submit_result`. A task that goes out again has another one each time.")
    function: str = Field(examples=["resize"])
    data: list[Any] = Field(
        description="What it was enqueued with; of a task of `/v1`, its payload, an object as the only entry.",
        examples=[["photo.jpg", 640]],
    )


class BrokerResult(BaseModel):
    """What contract 1 says of a submitted result."""

    status: Literal["completed"]
    task_id: str


class BrokerState(BrokerAccepted):
    """A task in contract 1's words."""

    result: Any = Field(
        description="Null until it is completed, and where it is too large to be in here: `/v1/tasks/{id}/result` has "
        "it.",
        examples=[{"width": 640}],
    )


# -- contract 2 --------------------------------------------------------------------------------------------------------


class TaskQueueCreated(BaseModel):
    """What contract 2 says of a new task."""

    id: str
    task_type: str = Field(examples=["FibonacciTask"])
    status: Literal["pending", "running", "completed", "failed"] = Field(examples=["pending"])
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


# -- contract 3 --------------------------------------------------------------------------------------------------------


class ExecutionAccepted(BaseModel):
    """What contract 3 says of a new task."""

    task_id: str


class ExecutionState(ExecutionAccepted):
    """A task in contract 3's words."""

    status: Literal["PENDING", "RUNNING", "COMPLETED", "FAILED"]
    progress: float = Field(ge=0, le=1)
    message: str = Field(description="What its handler said last, or why it failed.")


# -- contract 4 --------------------------------------------------------------------------------------------------------


class ProcessorTask(BaseModel):
    """A task in contract 4's words."""

    task_id: str
    status: Literal["queued", "processing", "completed", "failed"]


class UnknownId(BaseModel):
    """What contracts 2 and 4 say of an id that no task has: a problem, but for the `status` that contract 4 knows."""

    task_id: str
    status: Literal["not_found"]
    type: str = Field(examples=[problems.TASK_NOT_FOUND.uri])
    title: str = Field(examples=[problems.TASK_NOT_FOUND.title])
    detail: str
    correlation_id: str


# -- contract 5 --------------------------------------------------------------------------------------------------------


class ThrottlerAccepted(BaseModel):
    """What contract 5 says of a new task."""

    task_id: str
    status: Literal["scheduled", "pending", "running", "completed", "failed", "cancelled", "expired"] = Field(
        examples=["pending"]
    )


class ThrottlerTask(ThrottlerAccepted):
    """A task in contract 5's words."""

    result: Any = Field(
        description="What the handler returned; null until then, and where it is too large to be in here: "
        "`/v1/tasks/{id}/result` has it.",
        examples=["Hello, Ada!"],
    )


InItsWords: TypeAlias = BrokerState | TaskQueueTask | ExecutionState | ThrottlerTask | ProcessorTask
"""A task in the words of the contract that it was submitted through."""
