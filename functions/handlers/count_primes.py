"""``CountPrimes``: how many primes there are up to n."""

import math

from pydantic import BaseModel, ConfigDict, Field

from handlers.fibonacci import IntegerResult, Whole
from tasklane.registry import task


class CountPrimesPayload(BaseModel):
    """How far to count."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n: Whole = Field(ge=0, le=5_000_000, description="The last number to look at.", examples=[100])


@task("CountPrimes")
def count_primes(payload: CountPrimesPayload) -> IntegerResult:
    """Count the primes up to n."""
    return IntegerResult(result=_primes_up_to(payload.n))


def _primes_up_to(n: int) -> int:
    """Sieve of Eratosthenes over the odd numbers: position i stands for 2i + 1, and the first, 1, stands in for 2."""
    if n < 2:
        return 0
    size = (n + 1) // 2
    sieve = bytearray(b"\x01") * size
    for odd in range(3, math.isqrt(n) + 1, 2):
        if sieve[odd // 2]:
            first = odd * odd // 2
            sieve[first::odd] = bytes(len(range(first, size, odd)))
    return sieve.count(1)
