"""A shared step: who stands first in the line of a limit, read for several starts at once where nobody else takes them.

While one process starts all of them, each start would read the line again only to find what the one before has seen.
Of several processes each would find what was read taken by another one: then it reads before each start.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tasklane.line import limit_line
from tasklane.ports import TaskStore
from tasklane.task import Task

LOOKS: Final = 10
"""How many that stand in a line are looked at for one that may start: the others wait for another key as well."""
FRESH_SECONDS: Final = 1.0
"""How long what was read is used: somebody of a higher priority may have come since."""
ALONE_AFTER_SECONDS: Final = 10.0
"""How long after another process was faster somebody is taken to be about still."""
MAX_KEYS: Final = 1_000
"""Keys that are remembered at most."""


@dataclass(kw_only=True, slots=True)
class _Line:
    """What is known of one line."""

    tasks: deque[Task] = field(default_factory=deque)
    read_at: float = float("-inf")
    disturbed_at: float = float("-inf")

    @property
    def is_shared(self) -> bool:
        return time.monotonic() - self.disturbed_at < ALONE_AFTER_SECONDS

    @property
    def is_read(self) -> bool:
        """True where what was read may be used."""
        return time.monotonic() - self.read_at < FRESH_SECONDS and not self.is_shared


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
        while not joined and line.is_read and (task := self._next(line)) is not None:
            yield task
        ids = self._store.in_line(limit_line(key), LOOKS + room)
        ids = [*ids, *(one for one in joined if one not in ids)]
        at_once = room if line.is_shared else len(ids)
        for some in (ids[:at_once], ids[at_once:]):
            found = self._store.get(some) if some else {}
            standing = (found[one] for one in some if one in found and found[one].line == limit_line(key))
            with self._lock:
                line.tasks, line.read_at = deque(standing), time.monotonic()
            while (task := self._next(line)) is not None:
                yield task

    def taken(self, key: str) -> None:
        """Somebody else has taken one of the tasks that this gave."""
        self._line(key).disturbed_at = time.monotonic()

    def forget(self, key: str) -> None:
        """The last one that this gave stands where it stood: it is to be the first again."""
        self._line(key).read_at = float("-inf")

    def _next(self, line: _Line) -> Task | None:
        with self._lock:
            return line.tasks.popleft() if line.tasks else None

    def _line(self, key: str) -> _Line:
        with self._lock:
            if len(self._known) >= MAX_KEYS and key not in self._known:
                self._known.clear()
            return self._known.setdefault(key, _Line())
