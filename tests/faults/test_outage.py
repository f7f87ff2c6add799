"""Table and queues do not answer for a while, or for long."""

from collections.abc import Callable

import pytest

from tasklane.save import PAUSES
from tasklane.task import Status
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.plans import Fault, always, no_faults
from tests.faults.processes import ten_held
from tests.support.waiting import wait_for


@pytest.mark.row("outage")
def test_outcomes_are_written_when_a_short_outage_is_over(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    with ten_held(installation, services) as (worker, tasks):
        installation.proxy.begin(lambda _operation, _number: Fault.REFUSE)
        for task in tasks:
            world.open_gate(task.id)
        wait_for(lambda: "receive_failed" in worker.log)
        begun_at = installation.clock.now()
        installation.proxy.begin(no_faults)
        wait_for(lambda: all(task.status is Status.COMPLETED for task in installation.tasks(tasks)))
        # The lanes are read again.
        (later,) = installation.submit(services)
        wait_for(lambda: installation.task(later).status is Status.COMPLETED)

    assert {task.run for task in installation.tasks(tasks)} == {1}
    assert len(world.effects()) == len(tasks) + 1
    record(figures(installation, [*tasks, later], since=begun_at))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("outage-long")
def test_outcomes_are_written_though_the_leases_have_run_out(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    with ten_held(installation, services) as (worker, tasks):
        begun_at = installation.clock.now()
        no_writes = always(Fault.THROTTLE, "BatchExecuteStatement", "UpdateItem")
        installation.proxy.begin(no_writes)
        for task in tasks:
            world.open_gate(task.id)
        wait_for(lambda: "save_waits" in worker.log)
        leases = [task.lease_until or 0 for task in installation.tasks(tasks)]
        installation.clock.advance_to(max(leases) + 60_000)
        assert services.sweep(lambda: 60.0).changed == 0
        # The worker tries more often than there are pauses in its list; each of its tries is four requests.
        installation.proxy.begin(no_writes)
        asked = installation.proxy.requests
        wait_for(lambda: asked["BatchExecuteStatement"] + asked["UpdateItem"] > 4 * len(PAUSES), seconds=120)
        assert {task.status for task in installation.tasks(tasks)} == {Status.RUNNING}
        installation.proxy.begin(no_faults)
        wait_for(lambda: all(task.status is Status.COMPLETED for task in installation.tasks(tasks)))

    assert {task.run for task in installation.tasks(tasks)} == {1}
    assert len(world.effects()) == len(tasks)
    record(figures(installation, tasks, since=begun_at))
