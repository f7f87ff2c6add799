"""A shared step: who stands first in the line of a limit, asked for several starts at once.

While one process starts all of them, each start would find what the one before has seen, so the records are used, too.
Where several processes take them, each reads the records of the first ones again before a start.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tasklane.line import limit_line, rank
from tasklane.ports import TaskStore
from tasklane.task import Task

LOOKS: Final = 10
"""How many that stand in a line are looked at for one that may start: the others wait for another key as well."""
SHARED_LOOKS: Final = 40
"""The same where other processes take some of them meanwhile."""
FURTHER: Final = 4
"""So many times as many are looked at where the index, which may lag, shows only such as have moved on."""
MAX_LOOKS: Final = 800
AHEAD: Final = 4
"""Records that are then read besides those that are wanted."""
FRESH_SECONDS: Final = 1.0
"""How long what was read is used: somebody of a higher priority may have come since."""
ALONE_AFTER_SECONDS: Final = 10.0
"""How long after another process was faster somebody is taken to be about still."""
RECALL_SECONDS: Final = 10.0
"""How long those are remembered that this process itself made to stand in line: longer than an index mostly lags."""
MAX_RECALLED: Final = 1_000
MAX_KEYS: Final = 1_000
"""Keys that are remembered at most."""


@dataclass(kw_only=True, slots=True)
class _Line:
    """What is known of one line: who stands there and, of the first of them, the records."""

    ids: deque[str] = field(default_factory=deque)
    tasks: deque[Task] = field(default_factory=deque)
    joined: dict[str, float] = field(default_factory=dict)
    """Who has joined it lately, and when: the index may not show them yet."""
    given: str | None = None
    """The last one that was given to somebody."""
    is_cut: bool = False
    """Whether others may stand behind those in ``ids``."""
    read_at: float = float("-inf")
    disturbed_at: float = float("-inf")

    @property
    def is_shared(self) -> bool:
        return time.monotonic() - self.disturbed_at < ALONE_AFTER_SECONDS

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at < FRESH_SECONDS


class Standing:
    """Gives each task that stands in line to one of this process' threads."""

    def __init__(self, *, store: TaskStore) -> None:
        self._store = store
        self._known: dict[str, _Line] = {}
        self._lock = threading.Lock()

    def first(self, key: str, room: int, joined: Sequence[str] = ()) -> Iterator[Task]:
        """Those in the line of ``key`` in their order, ``room`` of which are wanted. Raises Unavailable.

        ``joined`` are those that have just joined it: the index may not know of them yet.
        """
        line = self._line(key)
        self._remember(line, joined)
        looks = 0
        if joined or not line.is_fresh:
            looks = self._ask(line, key, room, joined)
        elif line.is_shared:
            self._doubt(line)
        anybody = False
        while True:
            task = self._next(line)
            if task is not None:
                anybody = True
                yield task
            elif not self._read(line, key, room):
                if not looks or (not anybody and line.is_cut and looks < MAX_LOOKS):
                    looks = self._ask(line, key, room, joined, FURTHER * looks)
                elif anybody or not self._recall(line, room):
                    return

    def taken(self, key: str) -> None:
        """Somebody else has taken one of the tasks that this gave."""
        self._line(key).disturbed_at = time.monotonic()

    def forget(self, key: str) -> None:
        """The last one that this gave stands where it stood: it is to be the first again."""
        line = self._line(key)
        line.read_at = float("-inf")
        if line.given is not None:
            self._remember(line, [line.given])

    def _ask(self, line: _Line, key: str, room: int, joined: Sequence[str], looks: int = 0) -> int:
        """Ask who stands there; at how many it looked."""
        looks = looks or room + (SHARED_LOOKS if line.is_shared else LOOKS)
        ids = self._store.in_line(limit_line(key), looks)
        with self._lock:
            line.is_cut = len(ids) == looks
            line.ids, line.read_at = deque([*ids, *(one for one in joined if one not in ids)]), time.monotonic()
            line.tasks.clear()
        return looks

    def _read(self, line: _Line, key: str, room: int) -> bool:
        """Read the records of those who come next; False where nobody does."""
        with self._lock:
            count = min(room + AHEAD, len(line.ids)) if line.is_shared else len(line.ids)
            ids = [line.ids.popleft() for _ in range(count)]
        found = self._store.get(ids) if ids else {}
        with self._lock:
            standing = [found[one] for one in ids if one in found and found[one].line == limit_line(key)]
            line.tasks.extend(sorted(standing, key=rank))  # who has just joined was put behind the others
        return bool(ids)

    def _recall(self, line: _Line, room: int) -> bool:
        """Try those that joined lately, each once: False where there are none."""
        since = time.monotonic() - RECALL_SECONDS
        with self._lock:
            line.joined = {task_id: at for task_id, at in line.joined.items() if at >= since}
            some = list(islice(line.joined, room + AHEAD))
            for task_id in some:
                del line.joined[task_id]
            line.ids.extend(some)
            return bool(some)

    def _remember(self, line: _Line, joined: Sequence[str]) -> None:
        with self._lock:
            line.joined |= dict.fromkeys(joined[: MAX_RECALLED - len(line.joined)], time.monotonic())

    def _doubt(self, line: _Line) -> None:
        """Others may have taken those whose records were read before."""
        with self._lock:
            line.ids.extendleft(task.id for task in reversed(line.tasks))
            line.tasks.clear()

    def _next(self, line: _Line) -> Task | None:
        with self._lock:
            if not line.tasks:
                return None
            task = line.tasks.popleft()
            line.given = task.id
            line.joined.pop(task.id, None)
            return task

    def _line(self, key: str) -> _Line:
        with self._lock:
            if len(self._known) >= MAX_KEYS and key not in self._known:
                self._known.clear()
            return self._known.setdefault(key, _Line())
