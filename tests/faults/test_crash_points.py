"""Every process is killed between each two of its steps; what is left carries on, within the promised time."""

from collections.abc import Callable

import pytest

from tasklane.task import Status
from tests.faults import crash_api, crash_external, crash_limits, crash_order, crash_others, crash_worker
from tests.faults.crash_scenarios import NOBODY_THERE, SCENARIOS, Recovers, Scenario, points
from tests.faults.crash_steps import PORTS, READS, steps
from tests.faults.figures import Figures
from tests.faults.history import added, figures
from tests.faults.installation import Installation
from tests.faults.plans import Fault, no_faults, nth
from tests.faults.processes import processes
from tests.faults.recovery import recover_here
from tests.support.waiting import wait_for

WITH_SCENARIOS = (crash_api, crash_external, crash_limits, crash_order, crash_worker, crash_others)


def test_every_step_has_a_scenario_and_every_scenario_a_step() -> None:
    reached = {scenario.step for scenario in SCENARIOS}

    assert not steps().keys() - reached - NOBODY_THERE, (
        "a process may die there, and no scenario shows what becomes of it"
    )
    assert not reached - steps().keys(), "there is no such step"


def test_what_only_reads_is_there_to_be_called() -> None:
    assert READS.keys() <= PORTS.keys()
    assert all(methods <= PORTS[port] for port, methods in READS.items())


@pytest.mark.row("dies-api")
@pytest.mark.parametrize(("scenario", "point"), points("api"))
def test_the_api_dies(recovers: Recovers, scenario: Scenario, point: str) -> None:
    recovers(scenario, point)


@pytest.mark.row("dies-callbacks")
@pytest.mark.parametrize(("scenario", "point"), points("callbacks"))
def test_the_callback_function_dies(recovers: Recovers, scenario: Scenario, point: str) -> None:
    recovers(scenario, point)


@pytest.mark.row("dies-sweeper")
@pytest.mark.parametrize(("scenario", "point"), points("sweeper"))
def test_the_sweeper_dies(recovers: Recovers, scenario: Scenario, point: str) -> None:
    recovers(scenario, point)


@pytest.mark.row("dies-cleaner")
@pytest.mark.parametrize(("scenario", "point"), points("cleaner"))
def test_the_cleaner_dies(recovers: Recovers, scenario: Scenario, point: str) -> None:
    recovers(scenario, point)


@pytest.mark.long
@pytest.mark.row("dies-inside")
def test_the_sweeper_dies_inside_a_step_of_several_requests(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    total = []
    for position in range(3):
        for fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER):
            installation = make_installation()
            services, proxy = installation.services(), installation.proxy
            tasks = installation.accept_unsent(services, 25)
            installation.clock.advance_to(max(task.due_at or 0 for task in tasks) + 1)
            with processes(installation, "sweep") as (process,):
                proxy.kill = process.kill
                proxy.begin(nth(fault, "SendMessageBatch", position))
                installation.world.open_gate("sweep")
                wait_for(lambda: process.has_ended)
                assert process.process.exitcode == -9, process.log
            died_at = installation.clock.now()
            proxy.begin(no_faults)
            assert installation.depth(installation.lane()) == min(25, 10 * (position + (fault is Fault.KILL_AFTER)))
            ended = recover_here(installation, services, tasks)
            assert {task.status for task in ended} == {Status.COMPLETED}
            total.append(figures(installation, tasks, since=died_at))
    record(added(total))
