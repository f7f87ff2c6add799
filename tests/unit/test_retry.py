"""Whether and when a failed attempt is followed by another."""

import random
import statistics
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane.errors import (
    AddressRefused,
    AttemptLost,
    AttemptTimedOut,
    ConfigurationError,
    InvalidPayload,
    InvalidResult,
    NonRetryable,
    RetryLater,
    Unavailable,
    UnknownTaskType,
    WorkerFailure,
)
from tasklane.retry import MAX_PAUSE_SECONDS, RetryPolicy, backoff_ms, is_retryable, next_attempt_at
from tasklane.task import Task
from tests.support.builders import NOW, a_running_task

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


def decide(task: Task, policy: RetryPolicy, error: BaseException) -> int | None:
    """Seconds from now until the next attempt, with the longest draw; None: there is none."""
    at = next_attempt_at(task, policy, error, NOW, lambda: ALMOST_ONE)
    return None if at is None else round((at - NOW) / 1000)


@pytest.mark.parametrize(("run", "pause"), [(1, 2), (2, 4), (3, None), (4, None)])
def test_attempts_come_to_an_end(run: int, pause: int | None) -> None:
    assert decide(a_running_task(run=run, max_attempts=3), POLICY, OSError()) == pause


def test_a_fixed_pause_is_always_the_same() -> None:
    policy = RetryPolicy.fixed(10, max_attempts=9)
    assert [decide(a_running_task(run=run, max_attempts=9), policy, OSError()) for run in (1, 2, 8)] == [10, 10, 10]


def test_a_list_gives_each_pause_in_turn_and_ends_with_it() -> None:
    policy = RetryPolicy.listed(1, 60, 3600)
    assert policy.max_attempts == 4
    task = a_running_task(max_attempts=policy.max_attempts)
    assert [decide(task.evolve(run=run), policy, OSError()) for run in (1, 2, 3, 4)] == [1, 60, 3600, None]


def test_only_the_errors_of_the_policy_are_retried() -> None:
    policy = RetryPolicy(retry_on=(OSError,), no_retry_on=(FileNotFoundError,))
    task = a_running_task()
    assert decide(task, policy, ConnectionError()) is not None
    assert decide(task, policy, FileNotFoundError()) is None
    assert decide(task, policy, ValueError()) is None


def test_errors_may_be_named() -> None:
    policy = RetryPolicy(retry_on=("OSError", KeyError), no_retry_on=("FileNotFoundError",))
    task = a_running_task()
    assert decide(task, policy, ConnectionError()) is not None
    assert decide(task, policy, KeyError()) is not None
    assert decide(task, policy, FileNotFoundError()) is None
    assert decide(task, policy, ValueError()) is None


def test_a_task_may_say_which_errors_are_worth_another_attempt() -> None:
    task = a_running_task(retry={"retry_on": ["OSError"], "no_retry_on": ["FileNotFoundError"]})
    strict = RetryPolicy(retry_on=(ValueError,))
    assert decide(task, strict, ConnectionError()) is not None
    assert decide(task, strict, FileNotFoundError()) is None
    assert decide(task, strict, ValueError()) is None
    only = a_running_task(retry={"no_retry_on": ["UnicodeError"]})
    assert decide(only, strict, ValueError()) is not None
    assert decide(only, strict, UnicodeDecodeError("utf-8", b"", 0, 1, "no")) is None


def test_an_external_workers_error_is_called_as_the_worker_does() -> None:
    task = a_running_task(retry={"no_retry_on": ["DiskFull", "WorkerFailure"]})
    assert decide(task, POLICY, WorkerFailure("DiskFull", "no room left")) is None
    assert decide(task, POLICY, WorkerFailure("DiskBusy", "wait")) is not None


def test_a_lost_worker_is_retried_whatever_errors_the_policy_names() -> None:
    assert decide(a_running_task(), RetryPolicy(retry_on=(OSError,)), AttemptLost()) is not None


@pytest.mark.parametrize("seconds", [0, 0.5, 7, 86_400])
def test_an_error_may_say_when_the_next_attempt_makes_sense(seconds: float) -> None:
    assert (
        next_attempt_at(a_running_task(), POLICY, RetryLater("busy", seconds), NOW, lambda: 0.5) == NOW + seconds * 1000
    )


@pytest.mark.parametrize("seconds", [MAX_PAUSE_SECONDS + 1, 400_000_000, 1e300, pytest.param(10**400, id="no float")])
def test_an_error_that_asks_for_more_than_is_possible_gets_the_longest_pause_there_is(seconds: float) -> None:
    assert decide(a_running_task(), POLICY, RetryLater("not this year", seconds)) == MAX_PAUSE_SECONDS


def test_a_time_may_be_a_timedelta() -> None:
    assert decide(a_running_task(), POLICY, RetryLater("busy", timedelta(minutes=2))) == 120
    longest = decide(a_running_task(), POLICY, RetryLater("not this year", timedelta(days=1000)))
    assert longest == MAX_PAUSE_SECONDS


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("not in the mood")


@pytest.mark.parametrize("nonsense", [-1, float("nan"), float("inf"), "10", timedelta(seconds=-1), Unspeakable()])
def test_a_time_that_is_none_is_ignored_and_told_of(nonsense: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert decide(a_running_task(), POLICY, RetryLater("busy", nonsense)) == 2

    (record,) = caplog.records
    assert (record.levelname, vars(record)["action"]) == ("WARNING", "retry_after_ignored")


def test_no_time_is_nothing_to_speak_of(caplog: pytest.LogCaptureFixture) -> None:
    nothing: Any = None
    assert decide(a_running_task(), POLICY, RetryLater("busy", nothing)) == 2
    assert decide(a_running_task(), POLICY, OSError()) == 2
    assert caplog.records == []


def test_a_task_that_is_too_old_is_not_tried_again() -> None:
    policy = RetryPolicy.fixed(60, max_age_seconds=90)
    assert decide(a_running_task(created_at=NOW - 30_000), policy, OSError()) == 60
    assert decide(a_running_task(created_at=NOW - 30_001), policy, OSError()) is None


def test_a_task_may_change_its_types_policy() -> None:
    task = a_running_task(retry={"pauses": [5], "max_age_seconds": 100})
    assert decide(task, POLICY, OSError()) == 5
    assert decide(task.evolve(created_at=NOW - 96_000), POLICY, OSError()) is None


def test_a_task_that_asks_for_backoff_does_not_mean_its_types_list() -> None:
    listed = RetryPolicy.listed(1, 2, 3)

    assert decide(a_running_task(retry={"base_seconds": 40}), listed, OSError()) == 40
    assert decide(a_running_task(retry={"pauses": [30]}), listed, OSError()) == 30


class Moody(Exception):
    @property
    def retry_after(self) -> float:
        raise RuntimeError("not in the mood")


def test_an_error_that_cannot_be_asked_for_its_pause_gets_the_usual_one() -> None:
    assert decide(a_running_task(), RetryPolicy.fixed(7), Moody()) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry_on": [ValueError]},
        {"retry_on": ValueError},
        {"no_retry_on": (ValueError(),)},
        {"no_retry_on": ("",)},
        {"retry_on": "ValueError"},
        {"max_attempts": 0},
        {"base_seconds": -1},
        {"cap_seconds": float("nan")},
        {"pauses": (1, float("inf"))},
        {"max_age_seconds": -1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    """Not when the first attempt fails: that would be in the middle of a batch."""
    with pytest.raises(ConfigurationError):
        RetryPolicy(**wrong)
