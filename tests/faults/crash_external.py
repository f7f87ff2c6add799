"""The API dies while external workers talk to it, or a worker while it looks after their tasks."""

from collections.abc import Sequence
from typing import Any, Final

from tasklane.lease import Holder
from tasklane.task import Status, Task
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import Trial
from tests.faults.recovery import drain
from tests.faults.task_types import LARGE
from tests.support.waiting import wait_for

TYPE: Final = "outside"
KEY: Final = {"Idempotency-Key": "once"}


def external(trial: Trial, **wish: Any) -> Task:
    """A task that waits for an external worker, or for its time."""
    return trial.submit(type=TYPE, external=True, **wish)


def leased(trial: Trial, seconds: int = 60, **wish: Any) -> Task:
    external(trial, **wish)
    (task,) = trial.services.fetch((), 1, seconds)
    return task


def says(task: Task, **said: Any) -> dict[str, Any]:
    return {"json": {"lease_token": Holder.of(task).token, **said}}


# -- the API -----------------------------------------------------------------------------------------------------------


@dying("api", "TaskTypes.declare control.declare")
def declares_a_type(trial: Trial) -> Sequence[Task]:
    wish = {"json": {"name": TYPE, "priority": 5}}
    trial.dies_of("POST", "/v1/task-types", **wish)
    assert trial.ask("POST", "/v1/task-types", **wish).json()["priority"] == 5
    return [external(trial)]


@dying("api", "TaskTypes.declared control.declarations")
def lists_the_types(trial: Trial) -> Sequence[Task]:
    trial.dies_of("GET", "/v1/task-types")
    assert trial.ask("GET", "/v1/task-types").status_code == 200
    return [trial.submit()]


@dying("api", "TaskTypes._declared control.declaration", "TaskTypes.for_external control.declare")
def hears_of_a_function_for_the_first_time(trial: Trial) -> Sequence[Task]:
    wish: dict[str, Any] = {"json": {"function": "new", "data": [1]}, "headers": KEY}
    trial.dies_of("POST", "/enqueue", **wish)
    task_id = trial.ask("POST", "/enqueue", **wish).json()["task_id"]
    (task,) = trial.services.store.get([task_id]).values()
    return [task]


@dying(
    "api",
    "Fetch._candidates store.in_line (2)",
    "Fetch._startable store.get",
    "Fetch._claimed store.claim",
    "Fetch._announce queue.send",
)
def hands_out_a_task(trial: Trial) -> Sequence[Task]:
    """The worker that asked never hears of it: the task goes to another one when its lease has run out."""
    task = external(trial)
    trial.dies_of("POST", "/v1/leases", json={})
    return [task]


@dying("api", "Fetch._candidates store.in_line", "Fetch._candidates store.get")
def looks_in_several_lines(trial: Trial) -> Sequence[Task]:
    task = external(trial)
    trial.dies_of("POST", "/v1/leases", json={"functions": [TYPE, "another"]})
    return [task]


@dying("api", "Fetch._startable store.save", "Fetch._startable callback_queue.send", ends=Status.EXPIRED)
def finds_what_has_expired(trial: Trial) -> Sequence[Task]:
    task = external(trial, expires_at=trial.now() + 60_000, callback_url=trial.url)
    trial.installation.clock.advance_to(trial.now() + 60_500)
    trial.dies_of("POST", "/v1/leases", json={})
    return [task]


@dying("api", "Fetch.give_back store.save")
def cannot_read_what_it_hands_out(trial: Trial) -> Sequence[Task]:
    task = external(trial, payload={"pad": "x" * LARGE})
    trial.services.blobs.delete_all(f"{task.id}/")
    trial.dies_of("GET", "/get_task")
    return [task]


@dying(
    "api",
    "Leases._read store.get",
    "Leases._pack blobs.put",
    "Leases._change store.renew",
    "Leases._change callback_queue.send",
)
def takes_a_result(trial: Trial) -> Sequence[Task]:
    task = leased(trial, callback_url=trial.url)
    said = says(task, result="x" * LARGE)
    trial.dies_of("POST", f"/v1/leases/{task.id}/complete", **said)
    assert trial.ask("POST", f"/v1/leases/{task.id}/complete", **said).status_code == 200
    return [task]


@dying("api", "Leases._has_result blobs.get")
def takes_a_result_again(trial: Trial) -> Sequence[Task]:
    task = leased(trial)
    said = says(task, result="x" * LARGE)
    trial.ask("POST", f"/v1/leases/{task.id}/complete", **said)
    trial.dies_of("POST", f"/v1/leases/{task.id}/complete", **said)
    return [task]


@dying("api", "Leases._change queue.send")
def takes_a_failure(trial: Trial) -> Sequence[Task]:
    task = leased(trial)
    trial.dies_of("POST", f"/v1/leases/{task.id}/fail", **says(task, error={"type": "E"}, retry_after=1))
    return [task]


@dying("api", "Leases._look_sooner queue.send", minutes=6)
def makes_a_lease_shorter(trial: Trial) -> Sequence[Task]:
    """The worker is gone, too: the next one finds the task in its line."""
    task = leased(trial, seconds=600)
    trial.dies_of("POST", f"/v1/leases/{task.id}/heartbeat", **says(task, lease_seconds=1))
    return [task]


@dying("api", "Leases._taken_again store.claim")
def takes_a_late_result(trial: Trial) -> Sequence[Task]:
    task = leased(trial, seconds=1)
    wait_for(lambda: drain(trial.services, lanes=(3,)) and trial.installation.task(task).line is not None)
    trial.dies_of("POST", f"/v1/leases/{task.id}/complete", **says(task, result="late"))
    return [task]


# -- the worker --------------------------------------------------------------------------------------------------------


@dying("worker", "LookAfterExternal.__call__ store.get", "LookAfterExternal.__call__ store.save")
def brings_a_delayed_task_into_its_line(trial: Trial) -> Sequence[Task]:
    task = external(trial, delay_seconds=1)
    trial.dies("work")
    return [task]


@dying("worker", "LookAfterExternal.__call__ queue.send (2)", minutes=6)
def finds_a_renewed_lease(trial: Trial) -> Sequence[Task]:
    task = leased(trial, seconds=1)
    trial.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=60)
    trial.dies("work")
    return [task]


@dying("worker", "LookAfterExternal.__call__ queue.send")
def finds_a_lost_external_worker(trial: Trial) -> Sequence[Task]:
    task = leased(trial, seconds=1, retry={"pauses": [1]})
    trial.dies("work")
    return [task]


@dying("worker", "LookAfterExternal.__call__ callback_queue.send", ends=Status.FAILED)
def finds_the_last_attempt_lost(trial: Trial) -> Sequence[Task]:
    task = leased(trial, seconds=1, max_attempts=1, callback_url=trial.url)
    trial.dies("work")
    return [task]
