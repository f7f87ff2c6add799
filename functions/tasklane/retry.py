"""Whether and when a failed attempt is followed by another: pure decisions, the random source is a value."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

from tasklane.errors import (
    AttemptFailed,
    ConfigurationError,
    InvalidPayload,
    InvalidResult,
    NonRetryable,
    TooManyContinuations,
    error_names,
)
from tasklane.task import Task

logger = logging.getLogger(__name__)

MAX_PAUSE_SECONDS: Final = 366 * 86_400
"""The longest pause an error may ask for: as far off as a task may be scheduled."""

Random: TypeAlias = Callable[[], float]
"""Gives a number from 0 up to, but not, 1."""

_HOPELESS = (NonRetryable, InvalidResult, InvalidPayload, TooManyContinuations)
"""Errors that the next attempt would meet again."""


ErrorType: TypeAlias = type[BaseException] | str
"""An exception class, or the name of one: what ``error.type`` says, or would say of a class it derives from."""


def _is_error_type(error: object) -> bool:
    if isinstance(error, str):
        return bool(error)
    return isinstance(error, type) and issubclass(error, BaseException)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how far apart a task type is tried, and after which errors.

    Without ``pauses`` the pause before attempt n+1 is drawn evenly from 0 to ``base_seconds`` × 2^(n-1), at most
    ``cap_seconds`` ("full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    max_attempts: int = 3
    base_seconds: float = 2.0
    cap_seconds: float = 900.0
    pauses: tuple[float, ...] = ()
    """Seconds before the second attempt, the third, …; the last one serves for all that follow."""
    max_age_seconds: float | None = None
    """No other attempt begins later than this after the task was accepted, or retried by hand; None: whenever."""
    retry_on: tuple[ErrorType, ...] = (BaseException,)
    """Only these errors are worth another attempt."""
    no_retry_on: tuple[ErrorType, ...] = ()
    """These are not, though they may be in ``retry_on``."""
    timeout_seconds: int | None = None
    """How long an attempt may take where the task type itself does not say; None: as every type's."""

    def __post_init__(self) -> None:
        """Raises ConfigurationError where it makes no sense: better when a handler is registered than when it fails."""
        for name in ("retry_on", "no_retry_on"):
            errors = getattr(self, name)
            if not isinstance(errors, tuple) or not all(_is_error_type(error) for error in errors):
                raise ConfigurationError(
                    f"{name} of a RetryPolicy must be a tuple of exception classes, or of their names"
                )
        numbers = (self.max_attempts - 1, self.base_seconds, self.cap_seconds, *self.pauses, self.max_age_seconds or 0)
        if not all(0 <= number < math.inf for number in numbers):
            raise ConfigurationError("the numbers of a RetryPolicy are not negative, and max_attempts is at least 1")

    @classmethod
    def fixed(cls, seconds: float, **others: Any) -> "RetryPolicy":
        """The same pause before every attempt."""
        return cls(pauses=(seconds,), **others)

    @classmethod
    def listed(cls, *seconds: float, **others: Any) -> "RetryPolicy":
        """A pause of its own before each attempt; as many attempts as that makes, unless ``max_attempts`` is given."""
        return cls(pauses=seconds, **({"max_attempts": len(seconds) + 1} | others))


IDEMPOTENT: Final = RetryPolicy.fixed(10, max_attempts=3, timeout_seconds=60)
"""For work that may be done twice."""
SIDE_EFFECT: Final = RetryPolicy(max_attempts=1)
"""For work that must not be done twice without being asked for: one attempt, unless the task itself says otherwise."""
NAMED: Final[Mapping[str, RetryPolicy]] = {"idempotent": IDEMPOTENT, "side_effect": SIDE_EFFECT}
"""The policies that a handler may ask for by name."""


def named_policy(name: str) -> RetryPolicy:
    """The policy of that name. Raises ConfigurationError."""
    try:
        return NAMED[name]
    except KeyError:
        raise ConfigurationError(f"there is no retry policy {name!r}; there are {', '.join(NAMED)}") from None


def backoff_ms(policy: RetryPolicy, attempt: int, random: Random) -> int:
    """Milliseconds to wait after attempt number ``attempt`` (1 is the first)."""
    if policy.pauses:
        return int(policy.pauses[min(attempt, len(policy.pauses)) - 1] * 1000)
    ceiling = min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(attempt - 1, 60))
    return int(ceiling * 1000 * random())


def is_retryable(error: BaseException) -> bool:
    """False where another attempt would fail in the same way."""
    return not isinstance(error, _HOPELESS)


def own_policy(task: Task, policy: RetryPolicy) -> RetryPolicy:
    """The type's policy with what the task changes of it: who asks for backoff does not mean the type's list."""
    own: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in (task.retry or {}).items()
    }
    if own.keys() & {"base_seconds", "cap_seconds"}:
        own = {"pauses": ()} | own
    return replace(policy, **own)


def next_attempt_at(task: Task, policy: RetryPolicy, error: BaseException, now: int, random: Random) -> int | None:
    """When the attempt after the present one may start; None where there is none.

    An error that has a number of seconds, or a timedelta, as ``retry_after`` decides about the pause itself.
    """
    policy = own_policy(task, policy)
    # What ends an attempt from outside (a lost worker, a time limit) is no error of the handler's to be judged by.
    handlers_own = not isinstance(error, AttemptFailed)
    listed = _is_one_of(error, policy.retry_on) and not _is_one_of(error, policy.no_retry_on)
    if task.attempt >= task.max_attempts or not is_retryable(error) or (handlers_own and not listed):
        return None
    asked = _asked_pause(error)
    at = now + (backoff_ms(policy, task.attempt, random) if asked is None else int(asked * 1000))
    begun = task.created_at if task.reopened_at is None else task.reopened_at
    if policy.max_age_seconds is not None and at > begun + policy.max_age_seconds * 1000:
        return None
    return at


def _is_one_of(error: BaseException, types: tuple[ErrorType, ...]) -> bool:
    names = error_names(error)
    return any(one in names if isinstance(one, str) else isinstance(error, one) for one in types)


def _asked_pause(error: BaseException) -> float | None:
    """The seconds that an error asks for, as far as is possible; None where it asks for none that makes sense."""
    try:
        asked = getattr(error, "retry_after", None)
    except Exception:  # noqa: BLE001 - an error that cannot be asked must not take the worker down
        return None
    seconds = asked.total_seconds() if isinstance(asked, timedelta) else asked
    if isinstance(seconds, int | float) and 0 <= seconds < math.inf:
        return min(seconds, MAX_PAUSE_SECONDS)
    if asked is not None:
        extra = {"action": "retry_after_ignored", "error": type(error).__name__, "retry_after": _shown(asked)}
        logger.warning("An error's retry_after is neither seconds nor a timedelta, and is ignored.", extra=extra)
    return None


def _shown(value: object) -> str:
    try:
        return repr(value)[:100]
    except Exception:  # noqa: BLE001 - as above
        return type(value).__name__
