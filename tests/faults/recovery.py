"""What is left of an installation after a fault: sweeper and workers that carry on, and time that passes for them."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from tasklane.batch import run_batch
from tasklane.bootstrap import Services
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.task import Task
from tests.faults.installation import Installation
from tests.support.waiting import wait_for

IDLE_SECONDS = 0.6
"""Nobody has had anything in hand, and nothing has changed, for so long: what is not done now waits for its time, so
the clock may be set ahead."""


def has_ended(task: Task) -> bool:
    """Final, and nothing is owed any more."""
    return task.status.final and task.due_at is None


def sweep_when_due(installation: Installation, services: Services, tasks: Sequence[Task]) -> None:
    """Set the clock ahead to when the first of these tasks is due, and sweep once."""
    due = [task.due_at for task in installation.tasks(tasks) if task.due_at is not None]
    if due:
        installation.clock.advance_to(min(due) + 1)
    services.sweep(lambda: 60.0)


def drain(services: Services, lanes: Sequence[int] = (5, 4, 3, 2, 1, 0)) -> int:
    """Work off, here, what waits in these lanes (0: the callback queue); how many messages came."""
    handled = 0
    for lane in lanes:
        while deliveries := services.source.receive(lane, 10, 0):
            bodies = [one.body for one in deliveries]
            if lane:
                unhandled, _ = run_batch(bodies, TaskMessage, services.execute, lambda: 900.0)
            else:
                unhandled, _ = run_batch(bodies, CallbackMessage, services.deliver_callbacks, lambda: 900.0)
            handled += len(deliveries)
            done = [one.handle for i, one in enumerate(deliveries) if i not in unhandled]
            if done:
                services.source.acknowledge(lane, done)
    return handled


def recover_here(installation: Installation, services: Services, tasks: Sequence[Task], rounds: int = 20) -> list[Task]:
    """Sweep and work in this process until every task has ended; the tasks. Messages of the dead stay invisible."""
    for _ in range(rounds):
        drain(services)
        now = installation.tasks(tasks)
        if len(now) == len(tasks) and all(map(has_ended, now)):
            return now
        sweep_when_due(installation, services, now)
    raise AssertionError(f"still not ended: {installation.tasks(tasks)}")


def recover_there(
    installation: Installation,
    services: Services,
    tasks: Sequence[Task],
    *,
    seconds: float = 120.0,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Task]:
    """Sweep here, while worker processes work, until every task has ended; the tasks.

    ``meanwhile`` is called again and again: it may restart what died.
    """
    wait_for(partial(_step, installation, services, tasks, _Stillness(), meanwhile), seconds=seconds)
    return installation.tasks(tasks)


class _Stillness:
    """Tells when nobody is busy and nothing has moved for a while."""

    def __init__(self) -> None:
        self._last: object = None
        self._since = time.monotonic()

    def lasts(self, state: object, *, busy: bool) -> bool:
        if busy or state != self._last:
            self._last, self._since = state, time.monotonic()
        if time.monotonic() - self._since < IDLE_SECONDS:
            return False
        self._since = time.monotonic()
        return True


def _step(
    installation: Installation,
    services: Services,
    tasks: Sequence[Task],
    stillness: _Stillness,
    meanwhile: Callable[[], None],
) -> bool:
    meanwhile()
    now = installation.tasks(tasks)
    if len(now) == len(tasks) and all(map(has_ended, now)):
        return True
    if stillness.lasts(now, busy=installation.world.somebody_is_busy):
        sweep_when_due(installation, services, now)
    return False
