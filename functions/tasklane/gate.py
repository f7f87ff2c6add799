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

    def look_again(self) -> None:
        """Ask anew, though what was read is not old. Where the store does not answer, that stands until the next look.

        Raises Unavailable where nothing is known yet.
        """
        now = self._clock.now()
        self._read(now, otherwise=now - REMEMBER_MS)

    def _refresh(self) -> None:
        now = self._clock.now()
        if self._read_at is None or not 0 <= now - self._read_at < REMEMBER_MS:
            self._read(now, otherwise=now)

    def _read(self, now: int, *, otherwise: int) -> None:
        try:
            self._paused = frozenset(pause.target for pause in self._control.pauses() if pause.resumed_at is None)
        except Unavailable:
            if self._read_at is None:
                raise
            self._read_at = otherwise
        else:
            self._read_at = now
