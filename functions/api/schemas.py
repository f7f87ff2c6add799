"""What goes over the wire under ``/v1``: the body of a submission, checked; the answers, described.

Answers are not validated again (tests hold them to these models); they come from ``tasklane.view``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    WithJsonSchema,
)

from tasklane.registry import MAX_TIMEOUT_SECONDS
from tasklane.submit import MAX_DELAY_MS, Submission
from tasklane.task import DEFAULT_TENANT, HIGHEST_PRIORITY, LOWEST_PRIORITY
from tasklane.timestamps import from_datetime

MAX_NAME: Final = 128
"""Characters of a tenant or a type; a tenant is an SQS MessageGroupId, which takes no more."""
MAX_URL: Final = 2048
MAX_ATTEMPTS: Final = 100
MAX_LABELS: Final = 20
MAX_DELAY_SECONDS: Final = MAX_DELAY_MS // 1000

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _time(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("Must be a time with its offset, as in 2026-01-31T08:30:00Z (RFC 3339).")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError("There is no such time in the years 1 to 9999.") from exc
    if moment.year < 1970:
        raise ValueError("Must not be before 1970.")
    return from_datetime(moment)


def _visible(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("Must have neither control or other invisible characters nor blanks at its ends.")
    return value


def _group(value: str) -> str:
    if not _visible(value).isascii() or " " in value:
        raise ValueError("Must be of ASCII letters, digits and punctuation.")
    return value


def _no_credentials(url: AnyUrl) -> AnyUrl:
    if url.username is not None or url.password is not None:
        raise ValueError("Must not carry credentials.")
    if len(str(url)) > MAX_URL:
        raise ValueError(f"Must have at most {MAX_URL} characters.")
    return url


def _few(value: Any) -> Any:
    # Counted before the entries are looked at, each of which could cost an error message.
    if isinstance(value, Mapping) and len(value) > MAX_LABELS:
        raise ValueError(f"At most {MAX_LABELS} labels.")
    return value


Time = Annotated[
    int,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:30:00Z"]}),
]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_visible)]
Tenant = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": "^[!-~]+$"}), AfterValidator(_group)
]
LabelKey = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_visible)]
LabelValue = Annotated[str, Field(max_length=256)]
CallbackUrl = Annotated[HttpUrl, AfterValidator(_no_credentials)]


class TaskRequest(BaseModel):
    """A task to be done. A field that is missing or null is as the task type says."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Name = Field(description="The task type: which handler runs it.", examples=["FibonacciTask"])
    payload: dict[str, Any] = Field(
        default={}, description="The handler's input; checked against its model.", examples=[{"n": 10}]
    )
    priority: int | None = Field(
        default=None,
        ge=LOWEST_PRIORITY,
        le=HIGHEST_PRIORITY,
        description="5 is first, 1 is last; 3 unless the task type says otherwise.",
        examples=[3],
    )
    tenant: Tenant = Field(default=DEFAULT_TENANT, description="Whose task it is; tenants share a lane fairly.")
    delay_seconds: int | None = Field(
        default=None, ge=0, le=MAX_DELAY_SECONDS, description="Not before this many seconds from now. Or give run_at."
    )
    run_at: Time | None = Field(default=None, description="Not before this time. Or give delay_seconds.")
    expires_at: Time | None = Field(default=None, description="Not started by then, the task ends as expired.")
    callback_url: CallbackUrl | None = Field(
        default=None,
        description="The task is posted here, signed, when it is final; http or https, without credentials.",
        examples=["https://example.com/hooks/tasks"],
    )
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS, description="How often it is tried in all.")
    timeout_seconds: int | None = Field(
        default=None, ge=1, le=MAX_TIMEOUT_SECONDS, description="How long one attempt may take."
    )
    labels: Annotated[dict[LabelKey, LabelValue], BeforeValidator(_few)] = Field(
        default={},
        max_length=MAX_LABELS,
        description="Your own words about the task, kept and shown.",
        examples=[{"order": "4711"}],
    )


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
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        labels=body.labels,
        idempotency_key=idempotency_key,
        caller=caller,
        request_hash=None if idempotency_key is None else _digest(sent),
        correlation_id=correlation_id,
    )


def _digest(sent: Any) -> str:
    """The same for the same JSON value, however its text was spaced and ordered."""
    return hashlib.sha256(json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ErrorView(BaseModel):
    """Why an attempt or a task failed."""

    type: str = Field(description="The error's class.", examples=["AttemptTimedOut"])
    message: str = Field(description="Its text.")


class ProgressView(BaseModel):
    """How far a running handler says it is."""

    fraction: float = Field(ge=0, le=1)
    message: str | None


class AttemptView(BaseModel):
    """One ended attempt that did not complete the task."""

    number: int
    started_at: datetime
    finished_at: datetime
    error: ErrorView


class CallbackTryView(BaseModel):
    """One try to deliver the callback."""

    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None = Field(description="What the receiver answered; null: no answer came.")
    error: str | None


class CallbackView(BaseModel):
    """Where the callback goes and how its tries went."""

    url: str
    state: Literal["waiting", "pending", "delivered", "undelivered"]
    tries: int
    next_at: datetime | None
    history: list[CallbackTryView]


class TimingsView(BaseModel):
    """Milliseconds; null where it is not known yet."""

    waited_ms: int | None = Field(description="From the creation to the last start.")
    ran_ms: int | None = Field(description="In its last run.")
    total_ms: int | None = Field(description="From the creation to the end.")


class TaskView(BaseModel):
    """Everything about a task."""

    id: str = Field(examples=["01976b2e-4c00-7a3c-9d2e-5f1b8c0d4e6a"])
    type: str = Field(examples=["FibonacciTask"])
    status: Literal["scheduled", "pending", "running", "completed", "failed", "cancelled", "expired"]
    priority: int = Field(examples=[3])
    tenant: str = Field(examples=["default"])
    labels: dict[str, str]
    error: ErrorView | None = Field(description="Why it failed.")
    progress: ProgressView | None
    attempt: int = Field(description="Which attempt is the present or last one; 0 before the first.")
    max_attempts: int = Field(examples=[3])
    timeout_seconds: int = Field(examples=[60])
    attempts: list[AttemptView] = Field(description="Ended attempts that did not complete it, the last ten.")
    callback: CallbackView | None
    created_at: datetime
    run_at: datetime | None
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    timings: TimingsView
    payload: Any = Field(description="What it was submitted with.", examples=[{"n": 10}])
    payload_url: str | None = Field(description="Where to get the payload when it is too large to be in here.")
    result: Any = Field(description="What the handler returned; null until then.", examples=[{"result": 55}])
    result_url: str | None = Field(description="Where to get the result when it is too large to be in here.")


class RetryView(BaseModel):
    """How often and how far apart a task is tried: pauses double from base to cap, each with full jitter."""

    max_attempts: int
    base_seconds: float
    cap_seconds: float


class TaskTypeView(BaseModel):
    """A task type and the defaults of its tasks."""

    name: str = Field(examples=["FibonacciTask"])
    description: str
    external: bool = Field(description="True: no handler here; external workers do the work.")
    priority: int
    timeout_seconds: int
    retry: RetryView
    payload_schema: dict[str, Any] | None = Field(description="JSON Schema of the payload; null: not known.")
    result_schema: dict[str, Any] | None = Field(description="JSON Schema of the result; null: not known.")


class TaskTypesView(BaseModel):
    """The task types of this installation, by name."""

    task_types: list[TaskTypeView]


class HealthView(BaseModel):
    """That the API answers and, where it was asked, that what is behind it does."""

    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])
    stage: str = Field(examples=["prod"])
    checks: dict[str, str] | None = Field(default=None, description="With deep=true: each part, ok or unavailable.")
