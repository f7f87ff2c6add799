"""When jobs ran, and how many of them at once."""

import itertools
from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

Run: TypeAlias = tuple[datetime, datetime]
"""When a job began, and when it ended."""


def most_at_once(of: Iterable[Run]) -> int:
    """How many ran at the same time; one that ends in the millisecond in which another begins ran before it."""
    changes = sorted(change for began, ended in of for change in ((began, 1), (ended, -1)))
    return max(itertools.accumulate(step for _, step in changes))
