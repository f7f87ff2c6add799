"""A lane that is paused while tasks come, workers die, and messages are doubled; and its resume."""

import time
from collections.abc import Callable, Sequence

import pytest

from tasklane.line import lane_target
from tasklane.message import TaskMessage
from tasklane.task import Status, Task
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import start, workers
from tests.faults.recovery import has_ended, recover_there
from tests.support.waiting import wait_for

SECONDS = 5.0
"""Resumed tasks start within this, on a machine that does other things besides."""


@pytest.mark.row("paused")
def test_a_paused_lane_starts_nothing_and_loses_nothing(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, world = installation.services(), installation.world
    services.pause.pause(lane_target(3))
    tasks = installation.submit(services, numbers=range(60))
    services.queue.send([message for task in tasks[:20] for message in _messages(task)])
    with workers(installation, 2) as running:
        wait_for(lambda: len(_held(installation, tasks)) >= 30)
        running[0].kill()
        running.append(start(installation))
        # What the dead worker had received is invisible for long; the sweeper looks at it when it is due.
        installation.clock.advance_to(installation.clock.now() + 60_000)
        services.sweep(lambda: 60.0)
        wait_for(lambda: len(_held(installation, tasks)) == len(tasks))
        assert world.effects() == []
        assert {task.attempt for task in installation.tasks(tasks)} == {0}

        resumed_at, begun = installation.clock.now(), time.monotonic()
        released = services.pause.resume(lane_target(3), lambda: False).released
        installation.clock.advance_to(installation.clock.now() + 5_000)  # what the workers knew is old now
        wait_for(world.effects)
        first = time.monotonic() - begun
        recover_there(installation, services, tasks)

    ended = installation.tasks(tasks)
    assert released == len(tasks)
    assert first < SECONDS
    assert all(map(has_ended, ended))
    assert {(task.status, task.attempt, task.line) for task in ended} == {(Status.COMPLETED, 1, None)}
    assert len(world.effects()) == len(tasks)
    record(figures(installation, tasks, since=resumed_at))


def _held(installation: Installation, tasks: Sequence[Task]) -> list[Task]:
    return [task for task in installation.tasks(tasks) if task.line == "pause:lane:3"]


def _messages(task: Task) -> list[TaskMessage]:
    return [TaskMessage.of(task)] * 2
