"""A task store whose indexes lag: they show the tasks as they were some seconds ago, as those of DynamoDB may."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tasklane.adapters.memory import MemoryControlStore, MemoryTaskStore
from tasklane.errors import Unavailable
from tasklane.ports import Blocked, Change, Claim
from tasklane.task import Task

_T = TypeVar("_T")


class LaggingTaskStore(MemoryTaskStore):
    """What is read by id is up to date; ``monotonic`` gives the seconds by which the indexes lag."""

    def __init__(self, control: MemoryControlStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(control)
        self.monotonic = monotonic
        self.lag_seconds = 0.0
        self._earlier: list[tuple[float, MemoryTaskStore]] = [(float("-inf"), MemoryTaskStore())]

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        return self._noted(super().put(tasks))

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        return self._noted(super().claim(claims))

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        return self._noted(super().save(changes))

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        return self._noted(super().renew(changes))

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        return self._noted(super().remove(tasks))

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        return self._shown().due(shard, until, limit)

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        return self._shown().recent(shard, start, limit, newest=newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        return self._shown().failures(shard, start, limit, newest=newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        return self._shown().in_line(line, limit)

    def _noted(self, answer: _T) -> _T:
        with self._lock:
            then = MemoryTaskStore()
            then._tasks = dict(self._tasks)
            self._earlier.append((self.monotonic(), then))
        return answer

    def _shown(self) -> MemoryTaskStore:
        """The state that the indexes show; what is older than that is forgotten."""
        with self._lock:
            until = self.monotonic() - self.lag_seconds
            while len(self._earlier) > 1 and self._earlier[1][0] <= until:
                del self._earlier[0]
            return self._earlier[0][1]
