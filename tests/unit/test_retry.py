"""Whether and when a failed attempt is followed by another."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane.errors import (
    AddressRefused,
    AttemptTimedOut,
    InvalidPayload,
    InvalidResult,
    NonRetryable,
    Unavailable,
    UnknownTaskType,
)
from tasklane.retry import RetryPolicy, backoff_ms, is_retryable

POLICY = RetryPolicy(max_attempts=5, base_seconds=2.0, cap_seconds=900.0)
ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (9, 512), (10, 900), (5000, 900)])
def test_the_longest_pause_doubles_up_to_the_cap(attempt: int, seconds: int) -> None:
    assert backoff_ms(POLICY, attempt, lambda: ALMOST_ONE) == seconds * 1000 - 1


def test_the_jitter_is_full() -> None:
    assert backoff_ms(POLICY, 3, lambda: 0.0) == 0
    assert backoff_ms(POLICY, 3, lambda: 0.5) == 4000
    drawn = [backoff_ms(POLICY, 4, random.Random(7 + n).random) for n in range(400)]
    assert statistics.mean(drawn) == pytest.approx(8000, rel=0.1)
    assert min(drawn) < 1600
    assert max(drawn) > 14_400


@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0, 10_000, allow_nan=False),
    cap=st.floats(0, 100_000, allow_nan=False),
    drawn=st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_never_negative_and_never_over_the_cap(attempt: int, base: float, cap: float, drawn: float) -> None:
    pause = backoff_ms(RetryPolicy(base_seconds=base, cap_seconds=cap), attempt, lambda: drawn)

    assert 0 <= pause <= cap * 1000
    assert pause <= base * 2.0 ** min(attempt - 1, 60) * 1000


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (ValueError("anything a handler raises"), True),
        (AttemptTimedOut(), True),
        (Unavailable(), True),
        (UnknownTaskType("new", []), True),  # a deployment is on its way
        (NonRetryable(), False),
        (AddressRefused(), False),
        (InvalidPayload("does not fit"), False),
        (InvalidResult(), False),
    ],
)
def test_errors_that_would_come_again_are_not_retried(error: Exception, retryable: object) -> None:
    assert is_retryable(error) is retryable
