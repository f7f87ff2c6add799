"""Use case: find what went wrong among millions of tasks that did not."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

from tasklane.ports import Clock, TaskStore
from tasklane.task import CallbackState, Task

Entry: TypeAlias = tuple[int, str]
"""``outcome_at`` and id of a task in the index of failures."""

PAGE: Final = 100
"""Index entries read per shard and round."""
READ: Final = 25
"""Tasks read at once."""
ROUNDS: Final = 5
"""How often a search goes on where nothing of a round was wanted; then it answers with where to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Tasks, the latest first, and where to go on; ``next`` None: there are no more."""

    tasks: tuple[Task, ...]
    next: Entry | None


class ListCallbacks:
    """Lists tasks by what became of their callback."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def undelivered(self, limit: int, start: Entry | None = None) -> Page:
        """At most ``limit`` tasks whose callback was given up, from ``start`` (a page's ``next``). Raises Unavailable.

        Reads the index of failures only, so its cost does not grow with the number of tasks.
        """
        found: list[Task] = []
        for _ in range(ROUNDS):
            entries, more = self._entries(start)
            for entry, task in self._read(entries):
                start = entry
                if task.callback and task.callback.state is CallbackState.UNDELIVERED:
                    found.append(task)
                    if len(found) == limit:
                        return Page(tasks=tuple(found), next=start)
            start = entries[-1] if entries else start
            if not more:
                return Page(tasks=tuple(found), next=None)
        return Page(tasks=tuple(found), next=start)

    def _read(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Task]]:
        """The tasks behind index entries, read a few at a time, since the caller may have enough before the end."""
        for first in range(0, len(entries), READ):
            chunk = entries[first : first + READ]
            tasks = self._store.get([task_id for _, task_id in chunk])
            yield from ((entry, tasks[entry[1]]) for entry in chunk if entry[1] in tasks)

    def _entries(self, start: Entry | None) -> tuple[Sequence[Entry], bool]:
        """The next index entries of all shards, the latest first, and whether there may be more behind them."""
        until = self._clock.now() + 60_000 if start is None else start[0]
        with ThreadPoolExecutor(max_workers=8) as pool:
            pages = list(pool.map(lambda shard: self._store.failures(shard, until, PAGE), self._store.shards))
        entries = sorted((entry for page in pages for entry in page if start is None or entry < start), reverse=True)
        # At and behind the last moment of a full page there may be more than it has.
        horizon = max((page[-1][0] for page in pages if len(page) == PAGE), default=None)
        if horizon is None:
            return entries, False
        return [entry for entry in entries if entry[0] > horizon] or entries, True
