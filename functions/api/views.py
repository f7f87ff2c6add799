"""What ``/v1`` answers, described. Answers are not validated again: they come from ``tasklane.view``.

Tests hold them to these models.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


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
    events: list[Literal["running", "progress"]] = Field(description="What is told besides the end.")
    give_up_on_4xx: bool | None = Field(description="Whether 4xx ends it at once; null: as the installation says.")
    state: Literal["waiting", "pending", "delivered", "undelivered"]
    tries: int
    next_at: datetime | None
    history: list[CallbackTryView]


class TimingsView(BaseModel):
    """Milliseconds; null where it is not known yet."""

    waited_ms: int | None = Field(description="From the creation to the last start.")
    ran_ms: int | None = Field(description="In its last run.")
    total_ms: int | None = Field(description="From the creation to the end.")


class OwnRetryView(BaseModel):
    """What a task changes of its type's retry policy: only the fields that it was given."""

    pauses: list[float] | None = None
    base_seconds: float | None = None
    cap_seconds: float | None = None
    retry_on: list[str] | None = None
    no_retry_on: list[str] | None = None
    max_age_seconds: float | None = None


class TaskView(BaseModel):
    """Everything about a task."""

    id: str = Field(examples=["01976b2e-4c00-7a3c-9d2e-5f1b8c0d4e6a"])
    type: str = Field(examples=["FibonacciTask"])
    status: Literal["scheduled", "pending", "running", "completed", "failed", "cancelled", "expired"]
    priority: int = Field(examples=[3])
    tenant: str = Field(examples=["default"])
    labels: dict[str, str]
    throttle_keys: list[str] = Field(description="Whose limits hold for it.", examples=[["account:42"]])
    error: ErrorView | None = Field(description="Why it failed.")
    progress: ProgressView | None
    attempt: int = Field(
        description="Which attempt is the present or last one; 0 before the first. A continuation is none."
    )
    max_attempts: int = Field(examples=[3])
    timeout_seconds: int = Field(examples=[60])
    retry: OwnRetryView | None = Field(description="What it was submitted with, instead of its type's; null: nothing.")
    continuations: int = Field(description="How often its handler asked to go on in a new run.")
    cancel_requested: bool = Field(description="It was called off while it runs; its handler has not let go yet.")
    attempts: list[AttemptView] = Field(description="Ended attempts that did not complete it, the last ten.")
    callback: CallbackView | None
    created_at: datetime
    held_by: str | None = Field(
        description="What it waits for though its time has come: a paused lane or task type to be resumed, a limit to "
        "have room, its turn by a rate (`run_at` says when that is), or an external worker (`pull:` and its type); "
        "null: nothing.",
        examples=["pause:lane:3", "limit:account:42", "rate:account:42", "pull:resize"],
    )
    run_at: datetime | None = Field(description="When the next attempt may start, where that is not now.")
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    timings: TimingsView
    contract: str | None = Field(description="The contract that it was submitted through; null: `/v1`.")
    payload: Any = Field(description="What it was submitted with.", examples=[{"n": 10}])
    payload_url: str | None = Field(description="Where to get the payload when it is too large to be in here.")
    result: Any = Field(description="What the handler returned; null until then.", examples=[{"result": 55}])
    result_url: str | None = Field(description="Where to get the result when it is too large to be in here.")


class RetryView(BaseModel):
    """How often and how far apart a task is tried: after a list of pauses, or after pauses drawn with full jitter."""

    max_attempts: int
    pauses: list[float] | None = Field(
        description="Seconds before the second attempt, the third, …; the last one serves for all that follow. "
        "Null: base and cap say how long."
    )
    base_seconds: float | None = Field(
        description="The longest first pause; it doubles with each attempt. Each pause is drawn evenly from 0 to that. "
        "Null: there is a list."
    )
    cap_seconds: float | None = Field(description="The longest pause of all. Null: there is a list.")
    retry_on: list[str] | None = Field(description="Only after these errors it is tried again. Null: after any.")
    no_retry_on: list[str] = Field(description="After these errors it is not.")
    max_age_seconds: float | None = Field(
        description="No further attempt is planned for later than this after the task was accepted, or retried by "
        "hand; null: age does not matter."
    )


class TaskTypeView(BaseModel):
    """A task type and the defaults of its tasks."""

    name: str = Field(examples=["FibonacciTask"])
    description: str
    external: bool = Field(description="True: no handler here; external workers do the work.")
    priority: int
    timeout_seconds: int
    retry: RetryView
    max_continuations: int = Field(description="How often a handler may ask to go on in a new run.")
    payload_schema: dict[str, Any] | None = Field(description="JSON Schema of the payload; null: not known.")
    result_schema: dict[str, Any] | None = Field(description="JSON Schema of the result; null: not known.")


class RateView(BaseModel):
    """How fast tasks start."""

    count: int
    period_seconds: float
    burst: int


class LimitView(BaseModel):
    """A limit, and how many running tasks count towards it."""

    key: str = Field(examples=["account:42"])
    max_concurrent: int | None = Field(description="So many run at once at most; null: any number.")
    rate: RateView | None = Field(description="So many start in a period at most; null: any number.")
    in_use: int = Field(description="How many of its tasks run now.")


class LimitsView(BaseModel):
    """Limits in the order of their keys."""

    limits: list[LimitView]
    next_cursor: str | None = Field(description="Where to go on; null: there are no more.")


class PausedView(BaseModel):
    """What is paused, and since when."""

    target: str = Field(description="`lane:` and its number, or `type:` and its name.", examples=["lane:3"])
    paused_since: datetime


class PausesView(BaseModel):
    """What is paused."""

    pauses: list[PausedView]


class ResumedView(BaseModel):
    """What goes on again."""

    target: str = Field(description="`lane:` and its number, or `type:` and its name.", examples=["lane:3"])
    released: int = Field(description="How many tasks that were held back have been sent to their lanes.")
    more: bool = Field(description="There may be more of them; they follow within two minutes.")


class UndeliveredEntry(BaseModel):
    """A task whose callback was given up."""

    task_id: str
    task_type: str
    task_status: Literal["completed", "failed", "cancelled", "expired"]
    finished_at: datetime
    callback: CallbackView


class UndeliveredView(BaseModel):
    """Undelivered callbacks, the latest first."""

    callbacks: list[UndeliveredEntry]
    next_cursor: str | None = Field(description="Where to go on; null: there are no more.")


class TasksView(BaseModel):
    """A page of tasks."""

    tasks: list[TaskView]
    next_cursor: str | None = Field(description="Where to go on; null: there are no more.")


class LeftView(BaseModel):
    """A task that was not removed."""

    id: str
    status: Literal["running", "completed", "failed", "cancelled", "expired"]
    reason: Literal["running", "callback"] = Field(
        description="running: a worker is at it. callback: it has ended, and its callback is still on its way."
    )


class RemovedView(BaseModel):
    """What became of the tasks that were to be removed."""

    removed: int = Field(description="How many are removed now.")
    gone: int = Field(description="How many were not there (any more).")
    left: list[LeftView] = Field(description="Those that were left alone.")


class QueueView(BaseModel):
    """About how many messages a queue holds; SQS counts them within a minute or so."""

    waiting: int = Field(description="May be received.")
    delayed: int = Field(description="For later.")
    in_flight: int = Field(description="Received, and not yet done with.")
    dead_letters: int = Field(description="Given up after five receives: what its dead-letter queue holds.")


class LaneView(QueueView):
    """A lane."""

    lane: int = Field(description="The priority of its tasks.", examples=[3])
    paused_since: datetime | None = Field(description="Since when none of its tasks starts; null: it is not paused.")


class LanesView(BaseModel):
    """The queues."""

    lanes: list[LaneView] = Field(description="The highest priority first.")
    callbacks: QueueView


class CallbackRedriveView(BaseModel):
    """What became of the dead letters that were looked after."""

    sent: int = Field(description="So many are on their way again.")
    removed: dict[str, int] = Field(
        description="So many needed nothing and were removed, by the status in the record; `unknown`: there is no "
        "record any more; `repeated`: another dead letter spoke for the same task.",
        examples=[{"completed": 3}],
    )
    poison: int = Field(description="So many are no messages of Tasklane's, and stay.")
    unanswered: int = Field(description="So many could not be looked after, and stay.")
    more: bool = Field(description="It ended before the queue was empty: call again.")


class LaneRedriveView(CallbackRedriveView):
    """What became of a lane's dead letters that were looked after."""

    lane: int = Field(examples=[3])
    reopened: int = Field(description="So many failed tasks begin again (`failed=retry`).")


class TaskTypesView(BaseModel):
    """Task types: those of the code, by name, then those that were declared for external workers, by name."""

    task_types: list[TaskTypeView]
    next_after: str | None = Field(description="Where to go on; null: there are no more.")


class HealthView(BaseModel):
    """That the API answers and, where it was asked, that what is behind it does."""

    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])
    stage: str = Field(examples=["prod"])
    checks: dict[str, str] | None = Field(default=None, description="With deep=true: each part, ok or unavailable.")
