"""``CollatzTask``: how many steps the Collatz sequence of n takes until it is 1."""

from pydantic import BaseModel, ConfigDict, Field

from handlers.fibonacci import IntegerResult, Whole
from tasklane.registry import task


class CollatzPayload(BaseModel):
    """Where to begin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n: Whole = Field(ge=1, le=10_000_000, description="The first number of the sequence.", examples=[27])


@task("CollatzTask")
def collatz(payload: CollatzPayload) -> IntegerResult:
    """Count the steps of the Collatz sequence until 1: half of an even number, thrice an odd one plus 1."""
    number, steps = payload.n, 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return IntegerResult(result=steps)
