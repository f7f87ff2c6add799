"""What the tests of limits share: a task type that notes how it ran, and tasks with keys."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tasklane.registry import Registry
from tasklane.run import Run
from tasklane.starter import Starter
from tasklane.task import Status, Task
from tasklane.throttle import Rate
from tests.support.installation import Installation
from tests.support.payloads import Anything, Nothing


class Peak:
    """How many handlers ran at once, at most, and in which order they began."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[Any] = []
        self.began: list[float] = []
        self._lock = threading.Lock()

    def run(self, name: Any, seconds: float) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(name)
            self.began.append(time.monotonic())
        time.sleep(seconds)
        with self._lock:
            self.now -= 1


@pytest.fixture
def peak(registry: Registry) -> Peak:
    peak = Peak()

    @registry.task("work")
    def work(payload: Anything) -> None:
        fields = payload.model_extra or {}
        peak.run(fields["n"], fields["seconds"])

    return peak


@pytest.fixture
def starts(home: Installation, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When handlers begin (Unix milliseconds). They begin as soon as they are claimed: the clock here stands still."""
    begin, seen = Starter.begin, list[int]()

    def at_once(self: Starter, task: Task, remaining: Callable[[], float], wait_seconds: float = 0.0) -> Run:
        seen.append(home.clock.now() + round(wait_seconds * 1000))
        return begin(self, task, remaining)

    monkeypatch.setattr(Starter, "begin", at_once)
    return seen


@pytest.fixture
def work_of_no_time(registry: Registry) -> None:
    @registry.task("work")
    def work(payload: Nothing) -> None:
        pass


def limit(home: Installation, key: str, most: int | None = None, rate: Rate | None = None) -> None:
    home.services.limits.put(key, max_concurrent=most, rate=rate)


def submitted(home: Installation, count: int, keys: Sequence[str], seconds: float = 0.01, **fields: Any) -> list[Task]:
    """Tasks that run for so long each, one made after the other."""
    tasks = []
    for n in range(count):
        home.clock.advance(0.001)
        tasks.append(home.submit("work", {"n": n, "seconds": seconds}, throttle_keys=keys, **fields))
    return tasks


def work_off(home: Installation) -> None:
    """Work for as long as there is something to receive."""
    while home.queues.counts(3)[0]:
        home.work()


def statuses(home: Installation, tasks: Sequence[Task]) -> list[Status]:
    return [home.task(task).status for task in tasks]


def told_of(home: Installation, key: str) -> list[str]:
    """Those who were told of free slots of a key, in the order in which they were."""
    return [message.task_id for message in home.lanes.sent if message.free_slot == key]


def in_use(home: Installation, key: str) -> int:
    return home.services.limits.get(key).in_use
