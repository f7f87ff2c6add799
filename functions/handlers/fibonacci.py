"""``FibonacciTask``: the n-th Fibonacci number."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tasklane.registry import task


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""An integer in a strict model: 10.0 is one in JSON, and some languages write it so."""


class FibonacciPayload(BaseModel):
    """Which number."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n: Whole = Field(ge=0, le=100, description="Its position; the 0th is 0, the 1st is 1.", examples=[10])


class IntegerResult(BaseModel):
    """One number."""

    result: int = Field(examples=[55])


@task("FibonacciTask")
def fibonacci(payload: FibonacciPayload) -> IntegerResult:
    """Give the n-th Fibonacci number."""
    number, following = 0, 1
    for _ in range(payload.n):
        number, following = following, number + following
    return IntegerResult(result=number)
