"""What the tests of several rates share: limits, tasks that name them, and when these begin."""

from collections.abc import Callable, Sequence
from typing import Final

import pytest

from tasklane.run import Run
from tasklane.starter import Starter
from tasklane.task import Status, Task
from tasklane.throttle import Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import work_off

TEN: Final = Rate(count=10, period_ms=1000)
FIVE: Final = Rate(count=5, period_ms=1000)
SLOW: Final = Rate(count=1, period_ms=60_000)


@pytest.fixture
def starts(home: Installation, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Task]]:
    """When which tasks begin (Unix milliseconds). They begin as soon as they are claimed: the clock stands still."""
    begin, seen = Starter.begin, list[tuple[int, Task]]()

    def at_once(self: Starter, task: Task, remaining: Callable[[], float], wait_seconds: float = 0.0) -> Run:
        seen.append((home.clock.now() + round(wait_seconds * 1000), task))
        return begin(self, task, remaining)

    monkeypatch.setattr(Starter, "begin", at_once)
    return seen


def put(home: Installation, **rates: Rate) -> None:
    for key, rate in rates.items():
        home.services.limits.put(key, max_concurrent=None, rate=rate)


def submitted(home: Installation, count: int, *keys: str) -> list[Task]:
    tasks = []
    for _ in range(count):
        home.clock.advance(0.001)
        tasks.append(home.submit("work", {}, throttle_keys=keys))
    return tasks


def worked_off(home: Installation, tasks: Sequence[Task], within_seconds: float) -> None:
    """Let time pass in tenths of a second, with a sweep each minute, until all of these have ended."""
    for tenth in range(round(within_seconds * 10)):
        work_off(home)
        if tenth % 600 == 599:
            home.sweep()
        home.clock.advance(0.1)
    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}


def times_of(starts: Sequence[tuple[int, Task]], key: str) -> list[int]:
    return sorted(at for at, task in starts if key in task.throttle_keys)


def most_in_a_period(times: Sequence[int], rate: Rate) -> int:
    return max(sum(first <= at < first + rate.period_ms for at in times) for first in times)


def slots(home: Installation, tasks: Sequence[Task]) -> list[int]:
    return [home.task(task).reserved_at or 0 for task in tasks]
