"""How each step of each process is reached: a scenario leads a process there, and says what is to become of the tasks.

A new step without a scenario is a failing test (test_crash_points.py): write one, or name the step at an old one that
comes by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pytest

from tasklane.task import Status, Task
from tests.faults.crash import AFTER, BEFORE
from tests.faults.crash_steps import steps
from tests.faults.crash_trial import DEPLOYED, MINUTE_MS, Trial
from tests.faults.figures import Figures
from tests.faults.installation import Installation
from tests.faults.receiver import receiving

Play: TypeAlias = Callable[[Trial], Sequence[Task]]
"""Arranges what is needed, lets the process die, does what callers would do then; the tasks that have to end."""
Recovers: TypeAlias = Callable[["Scenario", str], None]
"""Lets a process die at a point of its scenario, and takes down how everything else recovered."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A way to a step."""

    process: str
    step: str
    play: Play
    ends: Status
    within_ms: int


SCENARIOS: Final[list[Scenario]] = []
NOBODY_THERE: Final = frozenset[str]()
"""Steps that no process takes yet."""
MINUTES: Final[Mapping[str, int]] = {"api": 4, "worker": 4, "callbacks": 4, "sweeper": 7, "cleaner": 0}
"""How long recovery takes at most: the recovery window, doubled where a message was sent again, and a minute."""


def dying(
    process: str, *steps: str, ends: Status = Status.COMPLETED, minutes: int | None = None
) -> Callable[[Play], Play]:
    """This scenario leads that process to these steps; the tasks are to end so, in so many minutes (None: as usual)."""
    within_ms = (MINUTES[process] if minutes is None else minutes) * MINUTE_MS

    def keep(play: Play) -> Play:
        SCENARIOS.extend(
            Scenario(process=process, step=step, play=play, ends=ends, within_ms=within_ms) for step in steps
        )
        return play

    return keep


def points(process: str) -> list[object]:
    """The parameters of a process' trials: a scenario, and a crash point that it leads to."""
    mine = [scenario for scenario in SCENARIOS if scenario.process == process]
    return [_trial(scenario, moment, mine) for scenario in mine for moment in _moments(scenario)]


def _moments(scenario: Scenario) -> Sequence[str]:
    return (BEFORE,) if steps()[scenario.step].only_reads else (BEFORE, AFTER)


def _trial(scenario: Scenario, moment: str, all_of_process: Sequence[Scenario]) -> object:
    """In `make test` every tenth step has one; in `make check` each has all."""
    in_test = all_of_process.index(scenario) % 10 == 0 and moment == BEFORE
    marks = [] if in_test else [pytest.mark.long]
    point = f"{moment} {scenario.step}"
    return pytest.param(scenario, point, id=f"{scenario.play.__name__}: {point}", marks=marks)


def tried(make_installation: Callable[..., Installation], scenario: Scenario, point: str) -> Figures:
    """Let a process die at a point, and everything else recover from it; the figures."""
    installation = make_installation(**DEPLOYED)
    with receiving(lambda _task_id, before: dict(enumerate(trial.answers)).get(before, 204)) as receiver:
        trial = Trial(installation=installation, services=installation.services(), receiver=receiver, point=point)
        tasks = scenario.play(trial)
        ended = trial.recover(tasks)
        assert {task.status for task in ended} <= {scenario.ends}
        return trial.judge(tasks, scenario.within_ms)
