"""``blocking_long_running_task``: sleeps, and holds a thread of its own all the while."""

import time

from pydantic import BaseModel, ConfigDict, Field

from tasklane.context import TaskContext
from tasklane.registry import MAX_TIMEOUT_SECONDS, task

MAX_DURATION = MAX_TIMEOUT_SECONDS - 60
"""Seconds; an attempt has a little less time than its worker."""


class LongTaskPayload(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    duration: float = Field(ge=0, le=MAX_DURATION, allow_inf_nan=False, description="Seconds.", examples=[1.5])


class LongTaskResult(BaseModel):
    """How long it was."""

    duration: float = Field(description="Seconds that it took.")


@task("blocking_long_running_task", retry="idempotent", timeout_seconds=MAX_TIMEOUT_SECONDS)
def blocking_long_running_task(payload: LongTaskPayload, context: TaskContext) -> LongTaskResult:
    """Sleep for some seconds, and hold a thread meanwhile."""
    begun = time.monotonic()
    while (slept := time.monotonic() - begun) < payload.duration:
        context.progress(slept / payload.duration)
        time.sleep(min(1.0, payload.duration - slept))
    return LongTaskResult(duration=round(time.monotonic() - begun, 3))
