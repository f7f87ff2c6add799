"""Somebody dies who lets limited tasks go on to wait in their order: nobody is forgotten there."""

from collections.abc import Sequence
from typing import Final

from tasklane.line import lane_target
from tasklane.task import Task
from tasklane.throttle import Rate
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import Trial
from tests.faults.crash_worker import lost
from tests.faults.plans import Fault, always, no_faults
from tests.faults.recovery import drain
from tests.support.limits import set_limit

KEY: Final = "account:8"
CLUSTER: Final = "cluster:8"


@dying(
    "api",
    "Release._limits_of control.limits",
    "Lines.note control.note_waiting",
    "Release._call control.limits",
    "Lines.call queue.send",
)
def resumes_limited_tasks(trial: Trial) -> Sequence[Task]:
    """They go on to the line of their limit, and somebody is told of its free slot."""
    trial.services.limits.put(KEY, max_concurrent=1, rate=None)
    return _held_until_resumed(trial)


@dying("api", "Release._reserve control.reserve")
def resumes_tasks_of_a_rate(trial: Trial) -> Sequence[Task]:
    """They get their time slots before they are sent."""
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=100, period_ms=1_000))
    return _held_until_resumed(trial)


@dying("api", "Release._reserve control.reserve_together")
def resumes_tasks_of_several_rates(trial: Trial) -> Sequence[Task]:
    """Slots that nobody uses stay empty; each key has as many starts as its rate says."""
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=50, period_ms=1_000))
    trial.services.limits.put(CLUSTER, max_concurrent=None, rate=Rate(count=100, period_ms=1_000))
    return _held_until_resumed(trial, CLUSTER)


@dying("api", "Release._reserve control.note_waiting")
def moves_tasks_up_by_one_of_their_rates(trial: Trial) -> Sequence[Task]:
    """They leave gaps by the other one: of these nobody takes note."""
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=1, period_ms=60_000))
    trial.services.limits.put(CLUSTER, max_concurrent=None, rate=Rate(count=100, period_ms=1_000))
    tasks = [trial.submit(throttle_keys=(KEY, CLUSTER)) for _ in range(3)]
    drain(trial.services)
    trial.dies_of("PUT", f"/v1/limits/{KEY}", json={"rate": {"count": 50}})
    return tasks


@dying("worker", "Lines.send_first store.save", "Lines.send_first queue.send", minutes=5)
def sends_the_first_who_must_run_alone(trial: Trial) -> Sequence[Task]:
    """Its last worker was lost."""
    trial.services.limits.put(KEY, max_concurrent=2, rate=None)
    first = lost(trial, trial.submit(throttle_keys=(KEY,)))
    trial.services.limits.put(KEY, max_concurrent=0, rate=None)
    drain(trial.services)
    assert trial.installation.task(first).line == f"limit:{KEY}"
    limit = trial.services.control.limits([KEY])[KEY].limit
    set_limit(trial.services.control, limit.__class__(key=KEY, max_concurrent=1, since=limit.since))
    newcomer = trial.submit(throttle_keys=(KEY,))
    trial.dies("work")
    return [first, newcomer]


@dying("worker", "Limiter._slots_anew control.reserve", minutes=5)
def misses_its_time_slots(trial: Trial) -> Sequence[Task]:
    """The table was slow to let the runs begin, so they ask for other slots."""
    return _missing_their_slots(trial, KEY)


@dying("worker", "Limiter._slots_anew control.reserve_together", minutes=5)
def misses_its_time_slots_by_several_rates(trial: Trial) -> Sequence[Task]:
    """So do those for whom two rates hold."""
    return _missing_their_slots(trial, KEY, CLUSTER)


def _missing_their_slots(trial: Trial, *keys: str) -> Sequence[Task]:
    for key in keys:
        trial.services.limits.put(key, max_concurrent=None, rate=Rate(count=100, period_ms=1_000))
    tasks = [trial.submit(throttle_keys=keys) for _ in range(3)]
    trial.installation.proxy.begin(always(Fault.DELAY, "BatchExecuteStatement", "UpdateItem", "TransactWriteItems"))
    trial.dies("work")
    trial.installation.proxy.begin(no_faults)
    return tasks


def _held_until_resumed(trial: Trial, *others: str) -> Sequence[Task]:
    trial.services.pause.pause(lane_target(3))
    tasks = [trial.submit(throttle_keys=(KEY, *others)) for _ in range(3)]
    drain(trial.services)
    trial.dies_of("POST", "/v1/lanes/3/resume")
    return tasks
