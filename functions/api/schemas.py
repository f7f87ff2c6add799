"""The bodies that ``/v1`` accepts, checked."""

import hashlib
import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.fields import (
    WHOLE,
    CallbackEvents,
    CallbackUrl,
    LabelKey,
    LabelValue,
    Name,
    Payload,
    Priority,
    Seconds,
    TaskId,
    Tenant,
    ThrottleKeys,
    Time,
    at_most,
)
from tasklane.registry import MAX_TIMEOUT_SECONDS
from tasklane.submit import Submission
from tasklane.task import DEFAULT_PRIORITY, DEFAULT_TENANT
from tasklane.timing import MAX_DELAY_MS

MAX_ATTEMPTS: Final = 100
MAX_RATE: Final = 100_000
MAX_CONCURRENT: Final = 100_000
MAX_LABELS: Final = 20
MAX_DELAY_SECONDS: Final = MAX_DELAY_MS // 1000
MAX_PAUSES: Final = 20
MAX_ERROR_TYPES: Final = 20
ErrorTypes = Annotated[list[Name], at_most(MAX_ERROR_TYPES, "names"), Field(max_length=MAX_ERROR_TYPES)]
MAX_IDS: Final = 100


def _drop_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class RetryRequest(BaseModel):
    """What a task changes of its type's retry policy: a list of pauses or backoff with full jitter, after which errors.

    A field that is missing or null is as the task type says. How often is `max_attempts`.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    pauses: Annotated[list[Seconds], at_most(MAX_PAUSES, "pauses")] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_PAUSES,
        description="Seconds before the second attempt, the third, …; the last one serves for all that follow.",
        examples=[[10, 60, 600]],
    )
    base_seconds: Seconds | None = Field(
        default=None,
        description="The longest first pause; it doubles with each attempt. Each is drawn evenly from 0 to that.",
    )
    cap_seconds: Seconds | None = Field(default=None, description="The longest pause of all.")
    retry_on: ErrorTypes | None = Field(
        default=None,
        min_length=1,
        description="Only after errors of these types it is tried again: as `error.type` names them, or a class that "
        "they derive from.",
        examples=[["OSError"]],
    )
    no_retry_on: ErrorTypes | None = Field(
        default=None, min_length=1, description="After errors of these types it is not tried again."
    )
    max_age_seconds: Seconds | None = Field(
        default=None,
        description="After an error, no further attempt is planned for later than this after the task was accepted, or "
        "retried by hand; the first one may always begin.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> "RetryRequest":
        if self.pauses is not None and (self.base_seconds is not None or self.cap_seconds is not None):
            raise ValueError("Give pauses, or base_seconds and cap_seconds, not both.")
        return self


class TaskRequest(BaseModel):
    """A task to be done. A field that is missing or null is as the task type says."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"type": "FibonacciTask", "payload": {"n": 10}, "priority": 3}]},
    )

    type: Name = Field(description="The task type: which handler runs it.", examples=["FibonacciTask"])
    payload: Payload = Field(
        default={},
        description="The handler's input, checked against its model; for external workers it may be an array.",
        examples=[{"n": 10}],
    )
    priority: Priority | None = Field(
        default=None,
        description="5 is first, 1 is last; 3 unless the task type says otherwise.",
        examples=[3],
    )
    tenant: Tenant = Field(default=DEFAULT_TENANT, description="Whose task it is; tenants share a lane fairly.")
    delay_seconds: Annotated[int, Field(ge=0, le=MAX_DELAY_SECONDS), WHOLE] | None = Field(
        default=None, description="Not before this many seconds from now. Or give run_at."
    )
    run_at: Time | None = Field(
        default=None, description="Not before this time. Or give delay_seconds.", examples=["2026-01-31T08:30:00Z"]
    )
    expires_at: Time | None = Field(default=None, description="Not started by then, the task ends as expired.")
    callback_url: CallbackUrl | None = Field(
        default=None,
        description="The task is posted here, signed, when it is final; http or https, without credentials.",
        examples=["https://example.com/hooks/tasks"],
    )
    callback_events: CallbackEvents | None = Field(
        default=None,
        description="What to post besides the end, as well as may be: that a run began, that the handler got on.",
        examples=[["running", "progress"]],
    )
    callback_give_up_on_4xx: bool | None = Field(
        default=None,
        description="True: an answer of 4xx, other than 408 and 429, ends the callback at once; 410 always does. "
        "Missing or null: as the installation says, which is false unless configured otherwise.",
        examples=[True],
    )
    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS), WHOLE] | None = Field(
        default=None, description="How often it is tried in all."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=MAX_TIMEOUT_SECONDS), WHOLE] | None = Field(
        default=None, description="How long one attempt may take."
    )
    retry: Annotated[RetryRequest, at_most(MAX_PAUSES, "fields")] | None = Field(
        default=None, description="When it is tried again after an error, where that differs from its type's policy."
    )
    throttle_keys: ThrottleKeys | None = Field(
        default=None,
        description="Whose limits hold for it, besides those that its type names.",
        examples=[["account:42"]],
    )
    labels: Annotated[dict[LabelKey, LabelValue], at_most(MAX_LABELS, "labels")] = Field(
        default={},
        max_length=MAX_LABELS,
        description="Your own words about the task, kept and shown.",
        examples=[{"order": "4711"}],
    )


class RateRequest(BaseModel):
    """How fast tasks may start."""

    model_config = ConfigDict(strict=True, extra="forbid")

    count: Annotated[int, Field(ge=1, le=MAX_RATE), WHOLE] = Field(description="So many starts", examples=[20])
    period_seconds: Annotated[float, Field(gt=0, ge=0.1, le=86_400, allow_inf_nan=False)] = Field(
        default=1, description="in so many seconds, evenly spread,"
    )
    burst: Annotated[int, Field(ge=1, le=MAX_RATE), WHOLE] = Field(
        default=1, description="of which so many may come at once."
    )


class LimitRequest(BaseModel):
    """What holds for the tasks of a key. What is missing or null is not limited."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"minProperties": 1, "examples": [{"max_concurrent": 4, "rate": {"count": 20}}]},
    )

    max_concurrent: Annotated[int, Field(ge=0, le=MAX_CONCURRENT), WHOLE] | None = Field(
        default=None, description="So many tasks run at once at most; 0: none."
    )
    rate: Annotated[RateRequest, at_most(3, "fields")] | None = Field(
        default=None, description="So fast tasks start at most."
    )

    @model_validator(mode="after")
    def _something(self) -> "LimitRequest":
        if self.max_concurrent is None and self.rate is None:
            raise ValueError("Give max_concurrent, rate or both; DELETE removes a limit.")
        return self


class RemoveRequest(BaseModel):
    """Which tasks to forget."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ids: Annotated[list[TaskId], at_most(MAX_IDS, "ids")] = Field(
        min_length=1,
        max_length=MAX_IDS,
        description="Their ids; doubled ones count once.",
        examples=[["01976b2e-4c00-7a3c-9d2e-5f1b8c0d4e6a"]],
    )


class TaskChange(BaseModel):
    """What is to change of a task that waits; a field that is missing stays as it is."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"minProperties": 1, "examples": [{"run_at": "2026-01-31T08:30:00Z", "priority": 5}]},
    )

    run_at: Time | None = Field(default=None, description="Not before this time; null: at once.")
    priority: Priority = Field(
        default=DEFAULT_PRIORITY,
        description="5 is first, 1 is last.",
        examples=[5],
        json_schema_extra=_drop_default,
    )

    @model_validator(mode="after")
    def _something(self) -> "TaskChange":
        if not self.model_fields_set:
            raise ValueError("Give run_at, priority or both.")
        return self

    @property
    def new_run_at(self) -> int | None:
        """The new start in Unix milliseconds, long ago for at once; None: as it was."""
        return (self.run_at or 0) if "run_at" in self.model_fields_set else None

    @property
    def new_priority(self) -> int | None:
        """The new priority; None: as it was."""
        return self.priority if "priority" in self.model_fields_set else None


def to_submission(
    body: TaskRequest, sent: Any, *, caller: str, idempotency_key: str | None, correlation_id: str | None
) -> Submission:
    """What the use case is asked for; ``sent`` is the body as it came, before any default."""
    return Submission(
        type=body.type,
        payload=body.payload,
        priority=body.priority,
        tenant=body.tenant,
        delay_seconds=body.delay_seconds,
        run_at=body.run_at,
        expires_at=body.expires_at,
        callback_url=None if body.callback_url is None else str(body.callback_url),
        callback_events=tuple(body.callback_events or ()),
        callback_give_up_on_4xx=body.callback_give_up_on_4xx,
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        retry=(body.retry and body.retry.model_dump(exclude_none=True)) or None,
        labels=body.labels,
        throttle_keys=tuple(body.throttle_keys or ()),
        idempotency_key=idempotency_key,
        caller=caller,
        request_hash=None if idempotency_key is None else digest(sent),
        correlation_id=correlation_id,
    )


def digest(sent: Any) -> str:
    """The same for the same JSON value, however its text was spaced and ordered."""
    return hashlib.sha256(json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
