"""``non_blocking_long_running_task``: sleeps, and lets the other tasks of its batch go on."""

import asyncio
import time

from handlers.blocking_long_running_task import LongTaskPayload, LongTaskResult
from tasklane.context import TaskContext
from tasklane.registry import MAX_TIMEOUT_SECONDS, task


@task("non_blocking_long_running_task", retry="idempotent", timeout_seconds=MAX_TIMEOUT_SECONDS)
async def non_blocking_long_running_task(payload: LongTaskPayload, context: TaskContext) -> LongTaskResult:
    """Sleep for some seconds, and hold no thread."""
    begun = time.monotonic()
    while (slept := time.monotonic() - begun) < payload.duration:
        context.progress(slept / payload.duration)
        await asyncio.sleep(min(1.0, payload.duration - slept))
    return LongTaskResult(duration=round(time.monotonic() - begun, 3))
