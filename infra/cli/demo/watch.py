"""Submits the demo's tasks, and follows them by the list of tasks."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cli.client import FINAL, PAGE
from infra.cli.demo.plan import LANES
from infra.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infra.cli.client import Api, Page, Task
    from infra.cli.demo.plan import Planned

CONNECTIONS = 8
EMPTY_PAGES = 3
"""After so many pages without a task of the demonstration, each of up to 1,000 tasks of others, there are none."""


@dataclass(frozen=True, kw_only=True)
class State:
    """How far the demonstration is."""

    wanted: Counter[int]
    """Tasks there are to be, by lane."""
    accepted: int
    """Tasks that the API has accepted."""
    statuses: Counter[str]
    """Tasks seen, by status."""
    final: Counter[int]
    """Tasks that have ended, by lane."""

    @property
    def total(self) -> int:
        """How many tasks there are to be."""
        return self.wanted.total()

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.final.total()


class Demonstration:
    """The tasks of one demonstration."""

    def __init__(self, api: Api, planned: Sequence[Planned], label: str) -> None:
        self._api = api
        self._planned = planned
        self._label = label
        self._wanted = Counter(dict.fromkeys(LANES, 0)) + Counter(one.priority for one in planned)
        self._lock = threading.Lock()
        self._accepted = 0
        self._stopping = False
        self._trouble: Exception | None = None
        self._tasks: dict[str, Task] = {}
        self._settled: dict[str, Page] = {}

    @property
    def tasks(self) -> list[Task]:
        """The tasks as they were last seen."""
        return list(self._tasks.values())

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Submit, in the background; what is not submitted yet at the end never is."""
        threads = ThreadPoolExecutor(max_workers=CONNECTIONS, thread_name_prefix="submit")
        try:
            for one in self._planned:
                threads.submit(self._submit, one)
            yield
        finally:
            self._stopping = True
            threads.shutdown(cancel_futures=True)

    def look(self) -> State:
        """Give how far it is now. Raises CommandError where a task could not be submitted."""
        if self._trouble:
            raise self._trouble
        self._walk()
        ended = [task for task in self._tasks.values() if task["status"] in FINAL]
        return State(
            wanted=self._wanted,
            accepted=self._accepted,
            statuses=Counter(task["status"] for task in self._tasks.values()),
            final=Counter(task["priority"] for task in ended),
        )

    def _submit(self, one: Planned) -> None:
        if self._stopping or self._trouble:
            return
        try:
            self._api.submit(one.body(self._label))
        except CommandError as exc:
            self._trouble = exc
            return
        with self._lock:
            self._accepted += 1

    def _walk(self) -> None:
        """Go through the list until all tasks of the demonstration have been seen, or none come any more."""
        accepted, cursor, seen, empty = self._accepted, "", 0, 0
        while seen < accepted and empty < EMPTY_PAGES:
            page = self._settled.get(cursor) or self._api.page(PAGE, cursor, label=f"demo:{self._label}")
            self._tasks |= {task["id"]: task for task in page.tasks}
            seen += len(page.tasks)
            empty = 0 if page.tasks else empty + 1
            # What lies behind a cursor changes no more when no task comes and all that are there have ended.
            if cursor and accepted == len(self._planned) and all(task["status"] in FINAL for task in page.tasks):
                self._settled[cursor] = page
            if page.next is None:
                break
            cursor = page.next
        if seen < accepted:  # the list lags behind: a task may yet come behind any cursor
            self._settled.clear()
