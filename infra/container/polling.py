"""The roles that poll: ``worker`` (the five lanes) and ``callbacks`` (the callback queue)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import callbacks.entrypoint
import worker.entrypoint
from infra.container.health import health_page
from tasklane.errors import Unavailable
from worker.poller import CALLBACKS, make_poller

if TYPE_CHECKING:
    from infra.container.settings import ProcessSettings
    from tasklane.bootstrap import Services
    from tasklane.callback import CallbackReport
    from tasklane.execute import BatchReport
    from tasklane.ports.tasks import TaskStore
    from worker.poller import Poller

NOBODYS = "health"
"""The id of no task."""
WORN_OUT = 1
"""The exit code of a worker in which too many handlers go on after their time: it wants to be started anew."""


def work(settings: ProcessSettings, services: Services, stop: threading.Event) -> int:
    """Run tasks until ``stop``; the exit code."""
    counter = _Counter()
    poller = make_poller(
        services, runners=settings.runners, wait_seconds=settings.poll_seconds, count_tasks=counter.count_tasks
    )
    return _poll("worker", _Polling(poller, services.store), settings, stop)


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
    return _poll("callbacks", _Polling(poller, services.store), settings, stop)


def _poll(role: str, polling: _Polling, settings: ProcessSettings, stop: threading.Event) -> int:
    poller = polling.poller
    with health_page(settings.host, settings.port, role, polling):
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

    def __init__(self, poller: Poller, store: TaskStore) -> None:
        self.poller = poller
        self._store = store

    def stuck(self) -> list[str]:
        return self.poller.stuck()

    def unanswered(self) -> list[str]:
        silent = ["callbacks" if lane == CALLBACKS else f"lane {lane}" for lane in self.poller.silent()]
        return silent if self._table_answers() else ["table", *silent]

    def _table_answers(self) -> bool:
        # A read, because who only works on tasks may not ask about the table itself.
        try:
            self._store.get([NOBODYS])
        except Unavailable:
            return False
        return True


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
