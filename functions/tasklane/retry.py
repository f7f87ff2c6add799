"""Whether and when a failed attempt is followed by another: pure decisions, the random source is a value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tasklane.errors import InvalidPayload, InvalidResult, NonRetryable

Random: TypeAlias = Callable[[], float]
"""Gives a number from 0 up to, but not, 1."""

_HOPELESS = (NonRetryable, InvalidResult, InvalidPayload)
"""Errors that the next attempt would meet again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how far apart a task type is tried.

    The pause before attempt n+1 is drawn evenly from 0 to ``base_seconds`` × 2^(n-1), at most ``cap_seconds``
    ("full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    max_attempts: int = 3
    base_seconds: float = 2.0
    cap_seconds: float = 900.0


def backoff_ms(policy: RetryPolicy, attempt: int, random: Random) -> int:
    """Milliseconds to wait after attempt number ``attempt`` (1 is the first)."""
    ceiling = min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(attempt - 1, 60))
    return int(ceiling * 1000 * random())


def is_retryable(error: BaseException) -> bool:
    """False where another attempt would fail in the same way."""
    return not isinstance(error, _HOPELESS)
