"""Times as people and HTTP clients read them."""

from datetime import UTC, datetime


def rfc3339(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC with three decimals: ``2026-01-31T08:30:00.000Z``."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def from_datetime(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime."""
    return round(moment.timestamp() * 1000)
