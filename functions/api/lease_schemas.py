"""What external workers send to ``/v1/leases`` and get from there, and how their task types are declared."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from api.fields import WHOLE, Name, Priority, Seconds, at_most
from api.schemas import MAX_ATTEMPTS, RetryRequest
from api.views import ProgressView
from tasklane.lease import Holder
from tasklane.task import DEFAULT_PRIORITY

MAX_LEASES: Final = 10
MAX_LEASE_SECONDS: Final = 43_200
"""Twelve hours, as long as SQS would hide a message."""
FORM: Final = r"^[1-9][0-9]{0,8}-[0-9a-f]{8}(-[1-9][0-9]{0,4})?$"
"""Of a lease's token."""

LeaseSeconds = Annotated[int, Field(ge=1, le=MAX_LEASE_SECONDS), WHOLE]
Token = Annotated[str, Field(pattern=FORM, description="`lease_token` of the lease.", examples=["1-5f1b8c0d"])]
Text = Annotated[str, Field(min_length=1, max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class LeaseRequest(_Body):
    """Which tasks a worker wants."""

    functions: Annotated[list[Name], at_most(MAX_LEASES, "functions")] = Field(
        default=[],
        max_length=MAX_LEASES,
        description="Task types that this worker does; none named: any. Each is looked for by itself.",
        examples=[["resize"]],
    )
    max: Annotated[int, Field(ge=1, le=MAX_LEASES), WHOLE] = Field(default=1, description="At most so many tasks.")
    wait_seconds: float = Field(
        default=0, ge=0, le=20, allow_inf_nan=False, description="How long to wait for the first one."
    )
    lease_seconds: LeaseSeconds | None = Field(
        default=None, description="How long they are this worker's; null: each as its `timeout_seconds` says."
    )


class ProgressRequest(_Body):
    """How far the work is."""

    fraction: float = Field(ge=0, le=1, allow_inf_nan=False, examples=[0.5])
    message: Annotated[str, Field(max_length=200)] | None = None


class HeartbeatRequest(_Body):
    """The worker is at it."""

    lease_token: Token
    lease_seconds: LeaseSeconds | None = Field(
        default=None,
        description="How long the lease lasts from now on; null: as long as was asked for when it was fetched.",
    )
    progress: ProgressRequest | None = Field(default=None, description="Shown with the task; null: as it was.")
    state: Any = Field(
        default=None,
        description="Any JSON of at most 64 KiB, which the next attempt finds should this one not end well; null: as "
        "it was.",
    )


class CompleteRequest(_Body):
    """The work is done."""

    lease_token: Token
    result: Any = Field(description="Any JSON of at most 5 MiB.", examples=[{"width": 640}])


class FailureRequest(_Body):
    """What went wrong."""

    type: Text = Field(description="The error's class, or any word for its kind.", examples=["DiskFull"])
    message: Annotated[str, Field(max_length=1000)] = Field(default="", description="In words.")


class FailRequest(_Body):
    """The attempt failed."""

    lease_token: Token
    error: FailureRequest
    retryable: bool = Field(default=True, description="False: another attempt would fail in the same way.")
    retry_after: Seconds | None = Field(
        default=None, description="Seconds until the next attempt; null: as the task's retry policy says."
    )


class DeclarationRequest(_Body):
    """A task type that external workers do. A field that is missing or null is as every type's."""

    name: Name = Field(examples=["resize"])
    priority: Priority | None = Field(default=None, description=f"5 is first, 1 is last; else {DEFAULT_PRIORITY}.")
    timeout_seconds: LeaseSeconds | None = Field(
        default=None, description="How long a lease lasts where the worker does not say; else 60."
    )
    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS), WHOLE] | None = Field(
        default=None, description="How often a task is tried in all; else 3."
    )
    retry: RetryRequest | None = Field(default=None, description="When it is tried again after a failed attempt.")


class LeaseView(BaseModel):
    """A task in a worker's hands."""

    id: str
    type: str = Field(examples=["resize"])
    lease_token: str = Field(description="Proves that this worker holds the task.", examples=["1-5f1b8c0d"])
    lease_until: datetime = Field(description="Then it goes to another worker, unless a heartbeat comes before.")
    attempt: int
    max_attempts: int
    priority: int
    tenant: str
    labels: dict[str, str]
    created_at: datetime
    payload: Any = Field(description="What it was submitted with; null where it is too large to be in here.")
    payload_url: str | None = Field(description="Where to get the payload when it is too large to be in here.")
    state: Any = Field(description="What an earlier attempt left with its heartbeats; null: nothing.")
    progress: ProgressView | None


class LeasesView(BaseModel):
    """The tasks that were fetched; none, where there were none."""

    leases: list[LeaseView]


class HeldView(BaseModel):
    """What a worker hears when it says that it is at it."""

    id: str
    lease_until: datetime
    cancel_requested: bool = Field(description="The task was called off: let go of it, and fail it.")


def holder_of(token: str) -> Holder:
    """Who carries this token; its form has been checked."""
    attempt, lease_id, *seconds = token.split("-")
    return Holder(attempt=int(attempt), lease_id=lease_id, lease_seconds=int(seconds[0]) if seconds else None)
