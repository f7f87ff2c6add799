"""Tells a thread that got stuck from one that waits."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """What the threads of a process are at, and until when each has to be done with it."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def busy(self, seconds: float) -> Iterator[None]:
        """What this thread does in here takes less than ``seconds``, whatever happens; it is stuck if it takes more."""
        name = threading.current_thread().name
        with self._lock:
            before = self._until.get(name)
            self._until[name] = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                self._until.pop(name)
                if before is not None:
                    self._until[name] = before

    def stuck(self) -> list[str]:
        """The names of the threads that should be done by now."""
        now = time.monotonic()
        with self._lock:
            return sorted(name for name, until in self._until.items() if until < now)
