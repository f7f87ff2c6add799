"""The task store in memory."""

import threading
from collections.abc import Callable, Sequence

from tasklane.adapters.memory.control import MemoryControlStore
from tasklane.errors import Unavailable
from tasklane.line import EVERY_PULL, is_pull, rank
from tasklane.ports import Blocked, Change, Claim
from tasklane.task import Task
from tasklane.transitions import begun


class MemoryTaskStore:
    """Tasks in a dictionary, under one lock."""

    shards: Sequence[str] = ("0", "1")

    def __init__(self, control: MemoryControlStore | None = None) -> None:
        """``control`` knows the limits that hold for claims."""
        self._tasks: dict[str, Task] = {}
        self._control = control or MemoryControlStore()
        self._lock = threading.Lock()

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._put(task) for task in tasks]

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """See TaskStore."""
        with self._lock:
            return {one: self._tasks[one] for one in task_ids if one in self._tasks}

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        """See TaskStore."""
        with self._lock:
            return [self._claim(claim) for claim in claims]

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._save(change) for change in changes]

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        """See TaskStore."""
        with self._lock:
            return [self._tasks[c.before.id] if self._save(c) else None for c in changes]

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._remove(task) for task in tasks]

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        """See TaskStore."""
        with self._lock:
            found = [
                (task.due_at, task.id)
                for task in self._tasks.values()
                if task.due_at is not None and task.due_at <= until and self._shard(task.id) == shard
            ]
        return [task_id for _, task_id in sorted(found)[:limit]]

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._from(shard, start, limit, lambda task: task.created_at, newest=newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._from(shard, start, limit, lambda task: task.outcome_at, newest=newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        """See TaskStore."""
        with self._lock:
            ranks = [(rank(task), task.id) for task in self._tasks.values() if _stands(task, line)]
        return [task_id for _, task_id in sorted(ranks)[:limit]]

    def check(self) -> None:
        """See TaskStore."""

    def _put(self, task: Task) -> Task:
        there = self._tasks.get(task.id)
        if there is None or (there.delete_at is not None and there.delete_at <= task.created_at // 1000):
            self._tasks[task.id] = task
        return self._tasks[task.id]

    def _claim(self, claim: Claim) -> Task | Blocked | None:
        message, task = claim.message, self._tasks.get(claim.message.task_id)
        if task is None:
            return None
        if task.run == message.run and task.lease_id == claim.lease_id:
            return task
        if (task.run, task.status.value) != (message.run - 1, message.status):
            return None
        if (full := self._control.take(claim.takes)) is not None:
            return Blocked(key=full)
        self._tasks[task.id] = begun(
            task,
            run=message.run,
            now=claim.started_at,
            lease_id=claim.lease_id,
            lease_until=claim.lease_until,
            due_at=claim.due_at,
            slots=claim.takes,
        )
        return self._tasks[task.id]

    def _save(self, change: Change) -> bool:
        before, after, task = change.before, change.after, self._tasks.get(change.before.id)
        if task is None:
            return False
        differing = [name for name in Task.__slots__ if getattr(before, name) != getattr(after, name)]
        if all(getattr(task, name) == getattr(after, name) for name in (*differing, *change.unchanged)):
            return True
        if any(getattr(task, name) != getattr(before, name) for name in change.unchanged):
            return False
        self._tasks[task.id] = task.evolve(**{name: getattr(after, name) for name in differing})
        self._control.give_back(change.gives_back)
        return True

    def _remove(self, task: Task) -> bool:
        there = self._tasks.get(task.id, task)
        if (there.status, there.run, there.callback) != (task.status, task.run, task.callback):
            return False
        self._tasks.pop(task.id, None)
        return True

    def _from(
        self, shard: str, start: int, limit: int, moment: Callable[[Task], int | None], *, newest: bool
    ) -> list[tuple[int, str]]:
        with self._lock:
            tasks = [(moment(task), task.id) for task in self._tasks.values() if self._shard(task.id) == shard]
        found = [(at, one) for at, one in tasks if at is not None and (at <= start if newest else at >= start)]
        return sorted(found, reverse=newest)[:limit]

    def _shard(self, task_id: str) -> str:
        return self.shards[sum(task_id.encode()) % len(self.shards)]


def _stands(task: Task, line: str) -> bool:
    return is_pull(task.line) if line == EVERY_PULL else task.line == line
