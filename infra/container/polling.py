"""The roles that poll: ``worker`` (the five lanes) and ``callbacks`` (the callback queue)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import callbacks.entrypoint
import worker.entrypoint
from infra.container.health import health_page
from worker.poller import CALLBACKS, make_poller

if TYPE_CHECKING:
    from infra.container.settings import ProcessSettings
    from tasklane.bootstrap import Services
    from tasklane.callback import CallbackReport
    from tasklane.execute import BatchReport
    from worker.poller import Poller

WORN_OUT = 1
"""The exit code of a worker in which too many handlers go on after their time: it wants to be started anew."""


def work(settings: ProcessSettings, services: Services, stop: threading.Event) -> int:
    """Run tasks until ``stop``; the exit code."""
    counter = _Counter()
    poller = make_poller(
        services, runners=settings.runners, wait_seconds=settings.poll_seconds, count_tasks=counter.count_tasks
    )
    return _poll("worker", poller, settings, stop)


def deliver(settings: ProcessSettings, services: Services, stop: threading.Event) -> int:
    """Deliver callbacks until ``stop``; the exit code."""
    counter = _Counter()
    poller = make_poller(
        services,
        lanes=False,
        callbacks=True,
        runners=settings.runners,
        wait_seconds=settings.poll_seconds,
        count_callbacks=counter.count_callbacks,
    )
    return _poll("callbacks", poller, settings, stop)


def _poll(role: str, poller: Poller, settings: ProcessSettings, stop: threading.Event) -> int:
    with health_page(settings.host, settings.port, role, _Polling(poller)):
        poller.start()
        over = threading.Thread(target=_stop_when_over, args=(poller, stop), name="over", daemon=True)
        over.start()
        stop.wait()
        poller.stop(settings.seconds_to_stop)
        over.join()
    return WORN_OUT if poller.wait() else 0


def _stop_when_over(poller: Poller, stop: threading.Event) -> None:
    poller.wait()
    stop.set()


class _Polling:
    """A poller, for its health page."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller

    def stuck(self) -> list[str]:
        return self._poller.stuck()

    def unanswered(self) -> list[str]:
        return ["callbacks" if lane == CALLBACKS else f"lane {lane}" for lane in self._poller.silent()]


class _Counter:
    """Prints the functions' own metrics; one batch at a time, because Powertools collects them in one place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def count_tasks(self, unhandled: frozenset[int], report: BatchReport) -> None:
        with self._lock:
            worker.entrypoint.count(unhandled, report)

    def count_callbacks(self, unhandled: frozenset[int], report: CallbackReport) -> None:
        with self._lock:
            callbacks.entrypoint.count(unhandled, report)
