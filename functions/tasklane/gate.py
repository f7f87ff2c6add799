"""Knows what is paused, so that a worker need not ask about each task."""

from typing import Final

from tasklane.errors import Unavailable
from tasklane.line import lane_target, pause_line, type_target
from tasklane.ports import Clock, ControlStore

REMEMBER_MS: Final = 5_000
"""How long what was read is used: one read each five seconds and process, however many tasks there are."""


class Gate:
    """Tells which tasks may not start. One per process; what it says is at most ``REMEMBER_MS`` old."""

    def __init__(self, *, control: ControlStore, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._read_at: int | None = None
        self._paused: frozenset[str] = frozenset()

    def line_for(self, task_type: str, priority: int) -> str | None:
        """The line that such a task has to wait in now; None: it may start.

        Where the store does not answer, what was known stands. Raises Unavailable where nothing is known yet.
        """
        self._refresh()
        for target in (lane_target(priority), type_target(task_type)):
            if target in self._paused:
                return pause_line(target)
        return None

    def forget(self) -> None:
        """Ask anew the next time."""
        self._read_at = None

    def _refresh(self) -> None:
        now = self._clock.now()
        if self._read_at is not None and 0 <= now - self._read_at < REMEMBER_MS:
            return
        try:
            self._paused = frozenset(pause.target for pause in self._control.pauses() if pause.resumed_at is None)
        except Unavailable:
            if self._read_at is None:
                raise
        self._read_at = now
