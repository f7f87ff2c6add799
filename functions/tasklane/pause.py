"""Use case: keep the tasks of a lane or of a task type from starting, and let them start again.

A paused task stands in a line (``tasklane.line``): its message is acknowledged, so that nothing burns receive counts,
and the pause may last for as long as anybody likes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tasklane.gate import REMEMBER_MS
from tasklane.line import pause_line
from tasklane.ports import Clock, ControlStore, Pause
from tasklane.release import Release

logger = logging.getLogger(__name__)

SETTLED_MS: Final = 2 * REMEMBER_MS + 60_000
"""How long after its end a pause is still looked after: longer than any worker, or the index, is behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """How many tasks were let go, and whether more of them still wait to be: the sweeper goes on with those."""

    released: int
    more: bool


class PauseTasks:
    """Pauses and resumes. Targets are named as in ``tasklane.line``. Each method raises Unavailable."""

    def __init__(self, *, control: ControlStore, release: Release, clock: Clock) -> None:
        self._control = control
        self._release = release
        self._clock = clock

    def pauses(self) -> dict[str, Pause]:
        """What is paused now, by target."""
        return {pause.target: pause for pause in self._control.pauses() if pause.resumed_at is None}

    def pause(self, target: str) -> Pause:
        """Start no task of ``target`` any more, within ``gate.REMEMBER_MS``; those that run go on."""
        return self._control.put_pause(Pause(target=target, since=self._clock.now()))

    def resume(self, target: str, enough: Callable[[], bool]) -> Resumed:
        """Let the tasks of ``target`` start again, as many at once as there is time for until ``enough``."""
        pause = self._control.end_pause(target, self._clock.now())
        if pause is None:
            return Resumed(released=0, more=False)
        released, empty = self._release.let_go(pause_line(target), enough)
        return Resumed(released=released, more=not empty)

    def sweep(self, enough: Callable[[], bool]) -> int:
        """Let go what still stands in the lines of pauses that are over; how many that were."""
        total = 0
        for pause in self._control.pauses():
            if pause.resumed_at is None or enough():
                continue
            released, empty = self._release.let_go(pause_line(pause.target), enough)
            total += released
            if empty and self._clock.now() - pause.resumed_at > SETTLED_MS:
                self._control.forget_pause(pause)
        if total:
            logger.info("Tasks whose pause is over were let go.", extra={"action": "released", "count": total})
        return total
