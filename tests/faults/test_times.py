"""How exactly delays are kept, and how long it takes from a crash to the next attempt."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tasklane.bootstrap import Services
from tasklane.sweep import CLOCK_TOLERANCE_MS
from tasklane.task import Status, Task
from tasklane.timing import LEASE_MARGIN_MS
from tests.faults.crash_trial import DEPLOYED, MINUTE_MS
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import start, workers
from tests.support.waiting import wait_for

TASKS = 60
APART_SECONDS = 0.05
"""Between two tasks, so that they fall on all parts of a second."""
ABOUT_A_SECOND_MS = 1_500
"""A queue counts in whole seconds, and nothing begins at once."""
BUSY_MS = 10_000
"""What a machine that does other things besides may add to the last of them."""
EARLY_MS = 1_000
TIMEOUT_SECONDS = 10
COMING_SECONDS = 3
"""So long before its time the clock is left alone."""


@pytest.mark.long
@pytest.mark.row("delay-short")
def test_a_delay_of_a_second_is_kept(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_installation(**DEPLOYED)
    services = installation.services()
    with workers(installation, 2):
        tasks = delayed(installation, services, 1)
        wait_for(lambda: all_completed(installation, tasks))

    record(judged(installation, tasks))


@pytest.mark.long
@pytest.mark.row("delay-queue")
def test_a_delay_of_fourteen_minutes_is_kept(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    record(long_delay(make_installation(**DEPLOYED), 14))


@pytest.mark.long
@pytest.mark.row("delay-index")
def test_a_delay_of_sixteen_minutes_is_kept(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    record(long_delay(make_installation(**DEPLOYED), 16, sent_at_once=False))


def long_delay(installation: Installation, minutes: int, *, sent_at_once: bool = True) -> Figures:
    """Let tasks wait for so long; what became of them."""
    services = installation.services()
    tasks = delayed(installation, services, minutes * 60)
    assert installation.depth(installation.lane()) == (len(tasks) if sent_at_once else 0)
    starts = [task.run_at or 0 for task in tasks]
    sweeper = Sweeper(installation, services)
    with workers(installation, 2):
        sweeper.come_until(min(starts) - COMING_SECONDS * 1000)
        wait_for(lambda: all_completed(installation, tasks), pause=sweeper.come, seconds=60)
    return judged(installation, tasks)


class Sweeper:
    """Comes with each minute of the clock."""

    def __init__(self, installation: Installation, services: Services) -> None:
        self._clock = installation.clock
        self._services = services
        self._next = (self._clock.now() // MINUTE_MS + 1) * MINUTE_MS

    def come_until(self, moment: int) -> None:
        """Set the clock ahead, minute by minute."""
        while self._next <= moment:
            self._clock.advance_to(self._next)
            self.come()
        self._clock.advance_to(moment)

    def come(self) -> None:
        """Sweep, if it is time."""
        if self._clock.now() >= self._next:
            self._services.sweep(lambda: 60.0)
            self._next += MINUTE_MS
        time.sleep(0.02)


def delayed(installation: Installation, services: Services, seconds: int) -> list[Task]:
    """Tasks that begin in so many seconds, one after the other."""
    tasks: list[Task] = []
    for number in range(TASKS):
        tasks += installation.submit(services, numbers=[number], delay_seconds=seconds)
        time.sleep(APART_SECONDS)
    return tasks


def all_completed(installation: Installation, tasks: Sequence[Task]) -> bool:
    return all(task.status is Status.COMPLETED for task in installation.tasks(tasks))


def judged(installation: Installation, tasks: Sequence[Task]) -> Figures:
    """By how much the tasks missed their time."""
    ran_at = {task.id: task.run_at or 0 for task in tasks}
    missed = [(task.started_at or 0) - ran_at[task.id] for task in installation.tasks(tasks)]
    found = replace(figures(installation, tasks), times_ms=tuple(abs(one) for one in missed))
    assert len(installation.world.effects()) == len(tasks)
    assert min(missed) > -EARLY_MS
    assert found.percentile_ms(50) < ABOUT_A_SECOND_MS
    assert found.percentile_ms(99) < BUSY_MS
    return found


@pytest.mark.long
@pytest.mark.row("next-attempt")
def test_after_a_crash_the_next_attempt_begins_when_the_lease_is_over(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_installation(TASKLANE_RECOVERY_SECONDS="5")
    services, world = installation.services(), installation.world
    tasks = installation.submit(services, numbers=range(10), hold=1, timeout_seconds=TIMEOUT_SECONDS)
    with workers(installation) as running:
        wait_for(lambda: len(world.effects()) == len(tasks))
        claimed = {task.id: task.started_at or 0 for task in installation.tasks(tasks)}
        running[0].kill()
        killed_at = installation.clock.now()
        running.append(start(installation))

        def sweep() -> None:
            time.sleep(1)
            services.sweep(lambda: 60.0)

        wait_for(lambda: all_completed(installation, tasks), pause=sweep, seconds=120)

    begun = {task.id: task.started_at or 0 for task in installation.tasks(tasks)}
    leases = LEASE_MARGIN_MS + TIMEOUT_SECONDS * 1000 + CLOCK_TOLERANCE_MS
    assert all(begun[task.id] >= claimed[task.id] + leases for task in tasks)
    assert max(begun.values()) < max(claimed.values()) + leases + BUSY_MS
    assert {len(world.effects(task.id)) for task in tasks} == {2}
    record(replace(figures(installation, tasks), times_ms=tuple(one - killed_at for one in begun.values())))
