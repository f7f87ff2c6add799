"""Times as people and HTTP clients read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane.clock import SystemClock
from tasklane.timestamps import from_datetime, rfc3339


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_769_848_200_000, "2026-01-31T08:30:00.000Z"),
        (1_769_848_200_007, "2026-01-31T08:30:00.007Z"),
        (1_769_848_200_999, "2026-01-31T08:30:00.999Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc_with_milliseconds(milliseconds: int, text: str) -> None:
    assert rfc3339(milliseconds) == text


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_comes_back_to_the_millisecond(milliseconds: int) -> None:
    assert from_datetime(datetime.fromisoformat(rfc3339(milliseconds))) == milliseconds


def test_an_offset_is_taken_into_account() -> None:
    moment = datetime(2026, 1, 31, 9, 30, tzinfo=timezone(timedelta(hours=1)))

    assert rfc3339(from_datetime(moment)) == "2026-01-31T08:30:00.000Z"


def test_the_system_clock_tells_the_time() -> None:
    before = from_datetime(datetime.now(UTC))

    assert before - 1 <= SystemClock().now() <= from_datetime(datetime.now(UTC)) + 1
