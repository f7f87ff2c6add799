"""``simulated_job``: a long job of steps that does nothing but report its progress. For trying out progress."""

import asyncio
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from handlers.fibonacci import Whole
from tasklane.context import TaskContext
from tasklane.errors import Continue, NonRetryable
from tasklane.registry import MAX_TIMEOUT_SECONDS, task

DAY_SECONDS = 86_400
MARGIN_SECONDS = 5.0
"""Kept back from a run's time, so that the job goes on in a new run before it is timed out in this one."""


class JobParameters(BaseModel):
    """How many steps of how many seconds; whatever else is there is given back."""

    model_config = ConfigDict(extra="allow", strict=True)

    steps: Whole = Field(default=5, ge=1, le=10_000, examples=[5])
    step_seconds: int | Annotated[float, Field(allow_inf_nan=False)] = Field(default=1, ge=0, le=60, examples=[0.5])
    fail_at: Whole | None = Field(default=None, ge=1, description="The step at which the job is to fail; null: none.")

    @model_validator(mode="after")
    def _within_a_day(self) -> "JobParameters":
        if self.steps * self.step_seconds > DAY_SECONDS:
            raise ValueError("All steps together must not take longer than a day.")
        return self


class JobPayload(BaseModel):
    """Which job."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(examples=["nightly report"])
    parameters: JobParameters = JobParameters()


class JobResult(BaseModel):
    """What it did."""

    name: str
    parameters: dict[str, Any] = Field(description="As they were given.")
    steps: int = Field(description="How many steps were taken, in all its runs.")


@task("simulated_job", timeout_seconds=MAX_TIMEOUT_SECONDS)
async def simulated_job(payload: JobPayload, context: TaskContext) -> JobResult:
    """Take one step after the other, in as many runs as it takes, and report progress after each."""
    parameters = payload.parameters
    begun_at = (context.state or {"done": 0})["done"] + 1
    for step in range(begun_at, parameters.steps + 1):
        if step > begun_at and context.remaining() < parameters.step_seconds + MARGIN_SECONDS:
            raise Continue({"done": step - 1})
        await asyncio.sleep(parameters.step_seconds)
        if step == parameters.fail_at:
            raise NonRetryable(f"Step {step} of {parameters.steps} failed, as it was asked to.")
        context.checkpoint({"done": step})
        context.progress(step / parameters.steps, f"step {step} of {parameters.steps}")
    given = parameters.model_dump(exclude_unset=True)
    return JobResult(name=payload.name, parameters=given, steps=parameters.steps)
