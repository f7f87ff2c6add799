"""``sleep``: waits. For trying out time limits, leases and progress."""

import asyncio
import time

from pydantic import BaseModel, ConfigDict, Field

from tasklane.context import TaskContext
from tasklane.registry import MAX_TIMEOUT_SECONDS, task


class SleepPayload(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0, le=MAX_TIMEOUT_SECONDS, allow_inf_nan=False, examples=[1.5])


class SleepResult(BaseModel):
    """How long it was."""

    slept_seconds: float


@task("sleep", timeout_seconds=MAX_TIMEOUT_SECONDS)
async def sleep(payload: SleepPayload, context: TaskContext) -> SleepResult:
    """Sleep for some seconds, and let other tasks of the batch go on meanwhile."""
    begun = time.monotonic()
    while (slept := time.monotonic() - begun) < payload.seconds:
        context.progress(slept / payload.seconds)
        await asyncio.sleep(min(1.0, payload.seconds - slept))
    return SleepResult(slept_seconds=round(time.monotonic() - begun, 3))
