"""Two sweepers at once, and clocks that differ."""

from collections.abc import Callable

import pytest

from tasklane.sweep import CLOCK_TOLERANCE_MS
from tasklane.task import Status
from tests.faults.clock import SharedClock
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import processes, start, workers
from tests.faults.recovery import recover_here, recover_there
from tests.support.builders import a_task
from tests.support.waiting import wait_for

TEN_MINUTES_MS = 600_000


@pytest.mark.long
@pytest.mark.row("two-sweepers")
def test_two_sweepers_at_once_send_each_task_once(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    # On a busy machine a sweep takes seconds: what it has sent must not fall due again meanwhile.
    installation = make_installation(TASKLANE_RECOVERY_SECONDS="180")
    services, now = installation.services(), installation.clock.now()
    tasks = [a_task(type="work", created_at=now, due_at=now - n) for n in range(200)]
    tasks = [task.evolve(payload=task.payload.__class__(text='{"number":3}', size=12)) for task in tasks]
    services.store.put(tasks)
    with processes(installation, "sweep", "sweep") as sweepers:
        installation.world.open_gate("sweep")
        wait_for(lambda: all(one.has_ended for one in sweepers))
        assert all("swept" in one.log for one in sweepers)

    assert installation.depth(installation.lane()) == len(tasks)
    assert {task.sends for task in installation.tasks(tasks)} == {1}
    recover_here(installation, services, tasks)
    assert len(installation.world.effects()) == len(tasks)
    record(figures(installation, tasks))


@pytest.mark.row("clock-near")
def test_a_sweeper_whose_clock_is_a_little_ahead_leaves_a_live_run_alone(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    ahead = SharedClock(path=installation.clock.path, skew_ms=CLOCK_TOLERANCE_MS - 1000)
    sweeper = installation.services(clock=ahead)
    with workers(installation):
        (task,) = installation.submit(services, hold=1)
        wait_for(lambda: world.effects(task.id))
        lease_until = installation.task(task).lease_until or 0
        installation.clock.advance_to(lease_until - 1500)
        sweeper.sweep(lambda: 60.0)
        world.open_gate(task.id)
        wait_for(lambda: installation.task(task).status.final)

    assert installation.task(task).status is Status.COMPLETED
    assert len(world.effects(task.id)) == 1
    record(figures(installation, [task]))


@pytest.mark.long
@pytest.mark.row("clock-far")
def test_clocks_that_differ_by_minutes_lead_to_one_outcome_each(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    with processes(installation) as running:
        running += [start(installation, skew_ms=skew) for skew in (TEN_MINUTES_MS, -TEN_MINUTES_MS)]
        world.open_gate("work")
        tasks = installation.submit(services, numbers=range(10), max_attempts=50)
        tasks += installation.submit(services, type="async-work", numbers=range(10), max_attempts=50, fail=1)
        ended = recover_there(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    record(figures(installation, tasks))
