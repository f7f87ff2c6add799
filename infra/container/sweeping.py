"""The role ``sweeper``: what the schedule does on Lambda, one sweep at a time, at a fixed cadence."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from infra.container.health import health_page
from sweeper.entrypoint import sweep
from tasklane.errors import SweepFailed
from worker.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.container.settings import ProcessSettings
    from tasklane.bootstrap import Services

SWEEP_SECONDS: Final = 60.0
"""How long one sweep may take, as in template.yaml."""
STUCK_SECONDS: Final = 300.0
"""No sweep takes so long: it looks at its time between two requests, and those have limits of their own."""

logger = logging.getLogger("tasklane.sweeper")


def keep_sweeping(settings: ProcessSettings, services: Services, stop: threading.Event) -> int:
    """Sweep now, and then every ``sweep_seconds``, until ``stop``; the exit code."""
    rounds = Rounds(settings.sweep_seconds, lambda remaining: _sweep(services, remaining))
    with health_page(settings.host, settings.port, "sweeper", rounds):
        rounds.run(stop, settings.seconds_to_stop)
    return 0


def _sweep(services: Services, remaining: Callable[[], float]) -> None:
    sweep({}, _Context(remaining), services)


class Rounds:
    """Repeats a sweep in a thread of its own, so that its end can be waited for with a limit."""

    def __init__(self, every_seconds: float, sweep: Callable[[Callable[[], float]], None]) -> None:
        """``sweep`` is given how many seconds it still has."""
        self._every = every_seconds
        self._sweep = sweep
        self._pulse = Pulse()
        self._failed: str | None = "no sweep has ended yet"
        self._stop_by = math.inf

    def run(self, stop: threading.Event, stop_seconds: float) -> None:
        """Sweep until ``stop``, and then for ``stop_seconds`` at most, to end a sweep that runs."""
        thread = threading.Thread(target=self._go_round, args=(stop,), name="sweeper", daemon=True)
        thread.start()
        stop.wait()
        self._stop_by = time.monotonic() + stop_seconds
        thread.join(stop_seconds)

    def stuck(self) -> list[str]:
        """See health.Work."""
        return self._pulse.stuck()

    def unanswered(self) -> list[str]:
        """See health.Work."""
        return [self._failed] if self._failed else []

    def _go_round(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        while not stop.is_set():
            with self._pulse.busy(STUCK_SECONDS):
                self._once()
            stop.wait(pause(time.monotonic() - begun, self._every))

    def _once(self) -> None:
        until = time.monotonic() + SWEEP_SECONDS
        try:
            self._sweep(lambda: min(until, self._stop_by) - time.monotonic())
        except SweepFailed as exc:
            self._failed = str(exc)
            logger.error("A sweep failed: %s", exc, extra={"action": "sweep_failed"})  # noqa: TRY400 - told before
        except Exception as exc:
            # Without its thread nobody would sweep any more, in a process that looks healthy.
            self._failed = repr(exc)
            logger.exception("A sweep failed.", extra={"action": "sweep_failed"})
        else:
            self._failed = None


def pause(passed: float, every_seconds: float) -> float:
    """Seconds until the next round, ``passed`` after the first one began; a sweep that takes long leaves rounds out."""
    return every_seconds - passed % every_seconds


class _Context:
    """As much of Lambda's context as the entry point asks for."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return int(self._remaining() * 1000)
