"""Use case: list tasks, and find what went wrong among millions that did not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from tasklane import shards
from tasklane.ports import Clock, TaskStore
from tasklane.shards import Index
from tasklane.task import CallbackState, Status, Task
from tasklane.view import shown_status

Entry: TypeAlias = shards.Entry

READ: Final = 100
"""Tasks read at once where not each may be wanted: what one request to the table takes."""
SPARE: Final = 8
"""Entries read per shard beyond those wanted: the last ones of a page are not certain."""
MOST: Final = 1_000
"""Tasks that a search looks at; then it answers with where to go on."""
AHEAD_MS: Final = 60_000
"""How far ahead of this clock another one may have put a task."""
FAILURES: Final = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED})
"""What has an index of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Tasks in order, and where to go on; ``next`` None: there are no more."""

    tasks: tuple[Task, ...]
    next: Entry | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which tasks, in which order. None: whatever it is. ``label``: one of its labels is that, as ``key:value``."""

    status: Status | None = None
    type: str | None = None
    label: str | None = None
    newest: bool = True

    @property
    def everything(self) -> bool:
        """True where every task is wanted."""
        return self.status is self.type is self.label is None

    @property
    def by_end(self) -> bool:
        """True where the tasks come in the order of their ends: they are found in the index of failures."""
        return self.status in FAILURES

    def fits(self, task: Task, now: int) -> bool:
        """Whether ``task`` is one of those."""
        return (
            (self.status is None or shown_status(task, now) is self.status)
            and (self.type is None or task.type == self.type)
            and (self.label is None or any(f"{key}:{value}" == self.label for key, value in task.labels.items()))
        )


class ListTasks:
    """Lists tasks, the newest or the oldest first."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, wanted: Wanted, limit: int, start: Entry | None = None) -> Page:
        """At most ``limit`` tasks, from ``start`` (a page's ``next``). Raises Unavailable.

        The order is that of creation, or of the ends where ``wanted.by_end``. A page looks at ``MOST`` tasks only, so
        it may have fewer than there are, even none, and say where to go on.
        """
        now, newest = self._clock.now(), wanted.newest
        look = self._store.failures if wanted.by_end else self._store.recent
        index = Index(
            shards=self._store.shards,
            read=lambda shard, at, count: look(shard, at, count, newest=newest),
            newest=newest,
        )
        first = (now + AHEAD_MS) if newest else 0
        return _search(
            self._store,
            index,
            first if start is None else start,
            limit,
            lambda task: not task.is_gone(now) and wanted.fits(task, now),
            read=min(limit, READ) if wanted.everything else READ,
        )


class ListCallbacks:
    """Lists tasks by what became of their callback."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def undelivered(self, limit: int, start: Entry | None = None) -> Page:
        """At most ``limit`` tasks whose callback was given up, from ``start`` (a page's ``next``). Raises Unavailable.

        Reads the index of failures only, so its cost does not grow with the number of tasks.
        """
        index = Index(shards=self._store.shards, read=self._store.failures, newest=True)
        first = self._clock.now() + AHEAD_MS
        return _search(
            self._store,
            index,
            first if start is None else start,
            limit,
            lambda task: task.callback is not None and task.callback.state is CallbackState.UNDELIVERED,
            read=READ,
        )


def _search(
    store: TaskStore, index: Index, start: Entry | int, limit: int, fits: Callable[[Task], bool], *, read: int
) -> Page:
    """The next ``limit`` tasks that fit; ``read`` tasks are read at once, since there may be enough before the end."""
    found: list[Task] = []
    for seen, (entry, task, is_last) in enumerate(_tasks(store, index, start, read), start=1):
        if task is not None and fits(task):
            found.append(task)
        if is_last:
            break
        if len(found) == limit or seen == MOST:
            return Page(tasks=tuple(found), next=entry)
    return Page(tasks=tuple(found), next=None)


def _tasks(store: TaskStore, index: Index, start: Entry | int, read: int) -> Iterator[tuple[Entry, Task | None, bool]]:
    """Every entry behind ``start`` with its task, None where that is gone, and whether it is the last one."""
    more = True
    while more:
        entries, more = index.following(start, min(read + SPARE, shards.PAGE))
        for first in range(0, len(entries), read):
            chunk = entries[first : first + read]
            tasks = store.get([task_id for _, task_id in chunk])
            for entry in chunk:
                yield entry, tasks.get(entry[1]), not more and entry == entries[-1]
        start = entries[-1] if entries else start
