"""A worker process dies in mid-task, freezes past its lease, or is taken down by a handler."""

from collections.abc import Callable

import pytest

from tasklane.task import Status
from tests.faults.actors import WORN_OUT
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import start, ten_held, workers
from tests.faults.recovery import recover_here, recover_there, sweep_when_due
from tests.support.waiting import wait_for


@pytest.mark.row("worker-killed")
def test_tasks_of_a_killed_worker_are_completed_by_the_next_attempt(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    with ten_held(installation, services) as (worker, tasks):
        worker.kill()
    killed_at = installation.clock.now()

    ended = recover_here(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    assert {[attempt.error.type for attempt in task.attempts] == ["AttemptLost"] for task in ended} == {True}
    assert [len(world.effects(task.id)) for task in tasks] == [2] * 10
    record(figures(installation, tasks, since=killed_at))


@pytest.mark.row("worker-frozen")
def test_a_frozen_worker_that_comes_back_cannot_write_its_outcome(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    with workers(installation) as (frozen,):
        (task,) = installation.submit(services, hold=1)
        wait_for(lambda: world.effects(task.id))
        frozen.freeze()
        frozen_at = installation.clock.now()
        sweep_when_due(installation, services, [task])
        (ended,) = recover_here(installation, services, [task])

        world.open_gate(task.id)
        frozen.thaw()
        wait_for(lambda: "run_lost" in frozen.log)

    assert ended.result is not None
    assert '"attempt":2' in (ended.result.text or "")
    assert installation.task(task) == ended
    record(figures(installation, [task], since=frozen_at))


@pytest.mark.row("handler-crash")
def test_a_handler_that_kills_its_process_fails_alone(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    """One batch at a time, as in a Lambda: beside it nothing else runs that the process would take along."""
    services, world = installation.services(), installation.world
    nine = installation.submit(services, numbers=range(9))
    (crasher,) = installation.submit(services, crash=99)
    begun_at = installation.clock.now()
    with workers(installation, actor="work-on-one-batch") as running:

        def restart() -> None:
            if all(worker.has_ended for worker in running):
                running.append(start(installation, "work-on-one-batch"))

        recover_there(installation, services, [*nine, crasher], meanwhile=restart)

    assert {task.status for task in installation.tasks(nine)} == {Status.COMPLETED}
    failed = installation.task(crasher)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.type == "AttemptLost"
    assert len(world.effects(crasher.id)) == crasher.max_attempts
    record(figures(installation, [*nine, crasher], since=begun_at))


@pytest.mark.long
@pytest.mark.row("overrun")
def test_a_worker_in_which_handlers_go_on_for_ever_ends_itself(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    stuck = installation.submit(services, numbers=range(6), type="stuck")
    others = installation.submit(services, numbers=range(20))
    stuck += installation.submit(services, numbers=range(6), type="stuck")
    begun_at = installation.clock.now()
    with workers(installation) as running:

        def restart() -> None:
            if running[-1].has_ended:
                running.append(start(installation))

        recover_there(installation, services, [*stuck, *others], meanwhile=restart)
        wait_for(lambda: running[0].has_ended)
        restart()
        later = installation.submit(services, numbers=range(5))
        recover_there(installation, services, later, meanwhile=restart)

    assert {task.status for task in installation.tasks(others)} == {Status.COMPLETED}
    assert {task.run for task in installation.tasks(others)} == {1}, "nobody's work was thrown away"
    errors = [task.error.type for task in installation.tasks(stuck) if task.error]
    assert errors == ["AttemptTimedOut"] * len(stuck)
    assert {len(world.effects(task.id)) for task in stuck} == {1}
    assert running[0].exit_code == WORN_OUT
    assert running[0].pid not in {effect.pid for task in later for effect in world.effects(task.id)}
    record(figures(installation, [*stuck, *others, *later], since=begun_at))
