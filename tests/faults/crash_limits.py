"""Somebody dies while tasks are limited: slots come back, and nobody stands in a line for ever."""

from collections.abc import Sequence
from typing import Final

from tasklane.line import NOTED_MS
from tasklane.message import TaskMessage
from tasklane.task import Task
from tasklane.throttle import Rate
from tests.faults.clock import SharedClock
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import MINUTE_MS, Trial
from tests.faults.recovery import drain
from tests.support.limits import set_limit

KEY: Final = "account:7"
PATH: Final = f"/v1/limits/{KEY}"


@dying(
    "worker",
    "Limiter._read control.limits",
    "Limiter._line_before store.in_line",
    "Claims._claim store.claim",
    "Lines.note control.note_waiting",
    "Lines.hold store.save",
    "Standing._ask store.in_line",
    "Standing._read store.get",
    minutes=5,
)
def runs_one_after_the_other(trial: Trial) -> Sequence[Task]:
    """Of one batch: the others stand in line, until the one before them has ended."""
    trial.services.limits.put(KEY, max_concurrent=1, rate=None)
    tasks = [trial.submit(throttle_keys=(KEY,)) for _ in range(3)]
    trial.dies("work")
    return tasks


@dying("worker", "Claims._has_room control.limits", "Lines.call queue.send", minutes=5)
def leaves_the_next_one_to_others(trial: Trial) -> Sequence[Task]:
    """It needs more time than the batch has left."""
    trial.services.limits.put(KEY, max_concurrent=1, rate=None)
    tasks = [trial.submit(throttle_keys=(KEY,)), trial.submit(throttle_keys=(KEY,), timeout_seconds=900)]
    trial.dies("work")
    return tasks


@dying(
    "worker",
    "Limiter._without_doubled store.get",
    "Limiter._reserve control.reserve",
    "Lines.put_off store.save",
    "Lines.put_off queue.send",
    minutes=5,
)
def gives_time_slots(trial: Trial) -> Sequence[Task]:
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=1, period_ms=10_000))
    tasks = [trial.submit(throttle_keys=(KEY,)) for _ in range(3)]
    trial.dies("work")
    return tasks


@dying("worker", "Limiter._reserve control.reserve_together", minutes=5)
def gives_time_slots_by_several_rates(trial: Trial) -> Sequence[Task]:
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=1, period_ms=10_000))
    trial.services.limits.put("cluster:7", max_concurrent=None, rate=Rate(count=10, period_ms=1_000))
    tasks = [trial.submit(throttle_keys=(KEY, "cluster:7")) for _ in range(3)]
    trial.dies("work")
    return tasks


@dying("worker", "Limiter._with_a_slot control.limits", minutes=5)
def gives_time_slots_to_those_with_a_slot(trial: Trial) -> Sequence[Task]:
    trial.services.limits.put(KEY, max_concurrent=1, rate=Rate(count=1, period_ms=1000))
    tasks = [trial.submit(throttle_keys=(KEY,)) for _ in range(3)]
    trial.dies("work")
    return tasks


@dying("api", "ManageLimits.list control.limit_keys", "ManageLimits.list control.limits")
def lists_limits(trial: Trial) -> Sequence[Task]:
    trial.services.limits.put(KEY, max_concurrent=1, rate=None)
    trial.dies_of("GET", "/v1/limits")
    assert [one["key"] for one in trial.ask("GET", "/v1/limits").json()["limits"]] == [KEY]
    return [trial.submit(throttle_keys=(KEY,))]


@dying("api", "ManageLimits.get control.limits")
def shows_a_limit(trial: Trial) -> Sequence[Task]:
    trial.services.limits.put(KEY, max_concurrent=1, rate=None)
    trial.dies_of("GET", PATH)
    assert trial.ask("GET", PATH).json()["max_concurrent"] == 1
    return [trial.submit(throttle_keys=(KEY,))]


@dying(
    "api",
    "ManageLimits.put control.limits",
    "ManageLimits.put control.put_limit",
    "Lines.wake store.in_line",
    "Lines._standing store.get",
    "Lines.call queue.send",
)
def raises_a_limit(trial: Trial) -> Sequence[Task]:
    """Nobody asks again where the limit was written: the sweeper wakes who waits for it."""
    tasks = _waiting(trial)
    trial.dies_of("PUT", PATH, json={"max_concurrent": 5})
    if trial.ask("GET", PATH).json()["max_concurrent"] == 0:
        assert trial.ask("PUT", PATH, json={"max_concurrent": 5}).status_code == 200
    return tasks


@dying("api", "ManageLimits.put control.note_waiting")
def raises_a_rate(trial: Trial) -> Sequence[Task]:
    """Nobody asks again where the limit was written: those with a time slot an hour off do not keep it."""
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=1, period_ms=3_600_000))
    tasks = [trial.submit(throttle_keys=(KEY,)) for _ in range(3)]
    drain(trial.services)
    trial.dies_of("PUT", PATH, json={"rate": {"count": 100}})
    if trial.ask("GET", PATH).json()["rate"]["count"] == 1:
        assert trial.ask("PUT", PATH, json={"rate": {"count": 100}}).status_code == 200
    return tasks


@dying("api", "ManageLimits.remove control.remove_limit", "ManageLimits.remove control.note_waiting")
def removes_a_limit(trial: Trial) -> Sequence[Task]:
    tasks = _waiting(trial)
    trial.dies_of("DELETE", PATH)
    if trial.ask("GET", PATH).status_code == 200:
        trial.ask("DELETE", PATH)
    return tasks


@dying(
    "sweeper",
    "ManageLimits.sweep control.waited_for",
    "ManageLimits.sweep control.limits",
    "Lines.wake store.in_line",
    "Lines.call queue.send",
)
def wakes_who_waits_though_there_is_room(trial: Trial) -> Sequence[Task]:
    """Whoever raised the limit had no time to wake them."""
    tasks = _waiting(trial)
    limit = trial.services.control.limits([KEY])[KEY].limit
    set_limit(trial.services.control, limit.__class__(key=KEY, max_concurrent=5, since=limit.since))
    trial.dies("sweep")
    return tasks


@dying("sweeper", "Lines.anybody_in store.in_line", "ManageLimits.sweep control.forget_waiting")
def forgets_a_key_that_nobody_waits_for(trial: Trial) -> Sequence[Task]:
    tasks = _waiting(trial)
    trial.services.limits.put(KEY, max_concurrent=5, rate=None)
    drain(trial.services)
    trial.installation.clock.advance_to(trial.now() + 2 * NOTED_MS)
    trial.dies("sweep")
    return [*tasks, trial.submit(throttle_keys=(KEY,))]


@dying("api", "ManageTasks._change control.give_up", "ManageTasks._change control.note_waiting")
def calls_off_who_has_a_time_slot(trial: Trial) -> Sequence[Task]:
    """Nobody takes note of the gap: who has the slot behind starts at his own time."""
    _, called_off, behind = _with_slots(trial, seconds=30)
    trial.dies_of("POST", f"/v1/tasks/{called_off.id}/cancel")
    assert trial.ask("GET", f"/v1/tasks/{called_off.id}").json()["status"] == "cancelled"
    return [behind]


@dying("sweeper", "Sweep._look_after control.give_up", "Sweep._look_after control.note_waiting", minutes=8)
def finds_one_expired_who_has_a_time_slot(trial: Trial) -> Sequence[Task]:
    _, _, behind = _with_slots(trial, seconds=60, expires_at=trial.now() + 10_000)
    trial.installation.clock.advance_to(trial.now() + 12_000)
    trial.dies("sweep")
    return [behind]


@dying("worker", "Admission._expire control.give_up", "Admission._expire control.note_waiting", minutes=6)
def is_handed_one_expired_who_has_a_time_slot(trial: Trial) -> Sequence[Task]:
    """A queue hands him on, long before his time: here it was somebody whose clock is ahead."""
    _, expires, behind = _with_slots(trial, seconds=30, expires_at=trial.now() + 10_000)
    ahead = SharedClock(path=trial.installation.clock.path, skew_ms=2 * MINUTE_MS)
    trial.installation.services(clock=ahead).queue.send(
        [TaskMessage.of(trial.services.store.get([expires.id])[expires.id])]
    )
    trial.installation.clock.advance_to(trial.now() + 12_000)
    trial.dies("work")
    return [behind]


@dying("sweeper", "ManageLimits._with_gaps_closed control.close_gaps", minutes=8)
def lets_others_move_up(trial: Trial) -> Sequence[Task]:
    """The slot of the one behind is void by then, or not; it starts once either way."""
    _, called_off, behind = _with_slots(trial, seconds=60)
    trial.services.manage.cancel(called_off.id)
    trial.dies("sweep")
    return [behind]


def _with_slots(trial: Trial, seconds: int, expires_at: int | None = None) -> list[Task]:
    """Three tasks, one start in so many seconds: the first has begun, the second may expire."""
    trial.services.limits.put(KEY, max_concurrent=None, rate=Rate(count=1, period_ms=seconds * 1000))
    tasks = []
    for n in range(3):
        tasks.append(trial.submit(throttle_keys=(KEY,), expires_at=expires_at if n == 1 else None))
        drain(trial.services)
    return tasks


def _waiting(trial: Trial) -> list[Task]:
    """Tasks that stand in the line of a limit that lets nobody run."""
    trial.services.limits.put(KEY, max_concurrent=0, rate=None)
    tasks = [trial.submit(throttle_keys=(KEY,)) for _ in range(3)]
    drain(trial.services)
    assert {task.line for task in trial.installation.tasks(tasks)} == {f"limit:{KEY}"}
    return tasks
