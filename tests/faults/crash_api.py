"""The API dies in the midst of a request; its caller hears nothing, and asks again where that is safe."""

from collections.abc import Sequence
from typing import Any, Final

from tasklane.line import lane_target
from tasklane.message import TaskMessage
from tasklane.task import CallbackState, Status, Task
from tasklane.timestamps import rfc3339
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import Trial
from tests.faults.recovery import drain
from tests.faults.task_types import LARGE

KEY: Final = {"Idempotency-Key": "order-4711"}
LATER: Final = 3600
"""Seconds; more than a queue carries, so nobody begins the task meanwhile."""


@dying("api", "Submit.__call__ store.put", "Submit.__call__ queue.send")
def submits(trial: Trial) -> Sequence[Task]:
    trial.dies_of("POST", "/v1/tasks", json={"type": "work", "payload": {"number": 7}})
    kept = [states[0] for states in trial.installation.journal.values()]
    # Killed before the put, nothing was accepted and nothing is kept.
    assert len(kept) == (trial.point != "before Submit.__call__ store.put")
    return kept


@dying("api", "Submit._new_task blobs.put", "Submit.__call__ store.put", "Submit.__call__ queue.send")
def submits_much_under_a_key(trial: Trial) -> Sequence[Task]:
    body = {"type": "work", "payload": {"number": 7, "pad": "x" * LARGE}}
    return _repeat(trial, body)


@dying("api", "Submit._earlier store.get", ends=Status.EXPIRED)
def submits_again_too_late(trial: Trial) -> Sequence[Task]:
    now = trial.now()
    body = {"type": "work", "payload": {"number": 7}, "run_at": rfc3339(now + 1000), "expires_at": rfc3339(now + 2000)}
    first = trial.ask("POST", "/v1/tasks", json=body, headers=KEY)
    trial.installation.clock.advance_to(now + 3000)
    kept = _repeat(trial, body)
    assert [task.id for task in kept] == [first.json()["id"]]
    return kept


@dying("api", "ReadTasks.__call__ store.get", "ReadTasks.text blobs.get")
def shows_a_payload(trial: Trial) -> Sequence[Task]:
    task = trial.submit(pad="x" * LARGE)
    trial.dies_of("GET", f"/v1/tasks/{task.id}/payload")
    assert trial.ask("GET", f"/v1/tasks/{task.id}/payload").json()["pad"] == "x" * LARGE
    return [task]


@dying("api", "ManageTasks._change store.save", "ManageTasks._change callback_queue.send", ends=Status.CANCELLED)
def cancels(trial: Trial) -> Sequence[Task]:
    task = trial.submit(delay_seconds=LATER, callback_url=trial.url)
    trial.dies_of("POST", f"/v1/tasks/{task.id}/cancel")
    # 409: it is cancelled already.
    assert trial.ask("POST", f"/v1/tasks/{task.id}/cancel").status_code in (200, 409)
    return [task]


@dying("api", "ManageTasks._change store.save", "ManageTasks._change queue.send")
def reschedules(trial: Trial) -> Sequence[Task]:
    task = trial.submit(delay_seconds=LATER)
    trial.dies_of("PATCH", f"/v1/tasks/{task.id}", json={"run_at": None, "priority": 5})
    saved = trial.point != "before ManageTasks._change store.save"
    assert trial.installation.task(task).priority == (5 if saved else 3)
    if not saved:
        assert trial.ask("PATCH", f"/v1/tasks/{task.id}", json={"run_at": None, "priority": 5}).status_code == 200
    return [trial.installation.task(task)]


@dying("api", "ManageTasks._change store.save", "ManageTasks._change callback_queue.send")
def sends_a_callback_again(trial: Trial) -> Sequence[Task]:
    task = trial.submit(callback_url=trial.url)
    drain(trial.services)
    trial.dies_of("POST", f"/v1/tasks/{task.id}/callback/redeliver")
    assert trial.ask("POST", f"/v1/tasks/{task.id}/callback/redeliver").status_code == 202
    return [task]


@dying("api", "ListCallbacks.undelivered store.failures", "ListCallbacks.undelivered store.get")
def lists_undelivered_callbacks(trial: Trial) -> Sequence[Task]:
    trial.answers = [410]
    task = trial.submit(callback_url=trial.url)
    drain(trial.services)
    trial.dies_of("GET", "/v1/callbacks")
    assert [one["task_id"] for one in trial.ask("GET", "/v1/callbacks").json()["callbacks"]] == [task.id]
    (callback,) = [one.callback for one in trial.installation.tasks([task])]
    assert callback is not None
    assert callback.state is CallbackState.UNDELIVERED
    return [task]


@dying("api", "ListTasks.__call__ store.recent", "ListTasks.__call__ store.get")
def lists_tasks(trial: Trial) -> Sequence[Task]:
    return _listed(trial, trial.submit(), "/v1/tasks")


@dying("api", "ListTasks.__call__ store.failures", ends=Status.CANCELLED)
def lists_cancelled_tasks(trial: Trial) -> Sequence[Task]:
    task = trial.submit(delay_seconds=LATER)
    trial.services.manage.cancel(task.id)
    return _listed(trial, task, "/v1/tasks?status=cancelled")


@dying("api", "RemoveTasks.__call__ store.get", "RemoveTasks.__call__ store.remove")
def removes_a_task(trial: Trial) -> Sequence[Task]:
    task, other = trial.submit(delay_seconds=LATER), trial.submit()
    trial.dies_of("POST", "/v1/tasks/remove", json={"ids": [task.id]})
    answer = trial.ask("POST", "/v1/tasks/remove", json={"ids": [task.id]}).json()
    assert answer["removed"] + answer["gone"] == 1
    assert trial.installation.tasks([task]) == []
    return [other]


@dying("api", "PauseTasks.pause control.put_pause")
def pauses_a_lane(trial: Trial) -> Sequence[Task]:
    trial.dies_of("POST", "/v1/lanes/3/pause")
    assert trial.ask("POST", "/v1/lanes/3/pause").status_code == 200
    task = trial.submit()
    drain(trial.services)
    assert trial.installation.task(task).status is Status.PENDING
    trial.ask("POST", "/v1/lanes/3/resume")
    return [task]


@dying("api", "PauseTasks.pauses control.pauses")
def lists_pauses(trial: Trial) -> Sequence[Task]:
    trial.dies_of("GET", "/v1/pauses")
    assert trial.ask("GET", "/v1/pauses").json() == {"pauses": []}
    return [trial.submit()]


@dying(
    "api",
    "PauseTasks.resume control.end_pause",
    "Release.let_go store.in_line",
    "Release._read store.get",
    "Release._written store.save",
    "Release._round queue.send",
)
def resumes_a_lane(trial: Trial) -> Sequence[Task]:
    """Nobody asks again: once the pause has ended, the sweeper lets go who still stands in its line."""
    trial.services.pause.pause(lane_target(3))
    tasks = [trial.submit() for _ in range(3)]
    drain(trial.services)
    trial.dies_of("POST", "/v1/lanes/3/resume")
    if trial.point == "before PauseTasks.resume control.end_pause":
        assert trial.ask("POST", "/v1/lanes/3/resume").json()["released"] == len(tasks)
    return tasks


@dying(
    "api",
    "_Drain._empty dead_letters.receive",
    "_Drain._find store.get",
    "_Drain._find store.get (2)",
    "_Drain._round store.save",
    "DeadTasks.send queue.send",
    "_Drain._remove dead_letters.acknowledge",
    "_Drain._give_back dead_letters.release",
)
def redrives_a_lane(trial: Trial) -> Sequence[Task]:
    """Nobody asks again: the sweeper looks after what has no message now."""
    tasks = trial.installation.accept_unsent(trial.services, 3)
    gone = tasks[0].evolve(id="somebody-who-is-gone")
    _dead_letters(trial, *(TaskMessage.of(task).to_json() for task in (*tasks, gone)), "poison")
    trial.dies_of("POST", "/v1/lanes/3/redrive")
    return tasks


@dying("api", "DeadCallbacks.send callback_queue.send")
def redrives_callbacks(trial: Trial) -> Sequence[Task]:
    task = trial.submit(callback_url=trial.url)
    drain(trial.services, lanes=(3,))
    (message,) = trial.services.source.receive(0, 10, 5)
    trial.services.source.acknowledge(0, [message.handle])
    _dead_letters(trial, message.body)
    trial.dies_of("POST", "/v1/callbacks/redrive")
    return [task]


@dying("api", "list_lanes depths.depths")
def lists_lanes(trial: Trial) -> Sequence[Task]:
    task = trial.submit()
    trial.dies_of("GET", "/v1/lanes")
    assert trial.ask("GET", "/v1/lanes").json()["lanes"][2]["lane"] == 3
    return [task]


@dying("api", "get_lane depths.depths")
def shows_a_lane(trial: Trial) -> Sequence[Task]:
    trial.dies_of("GET", "/v1/lanes/3")
    assert trial.ask("GET", "/v1/lanes/3").json()["lane"] == 3
    return [trial.submit()]


@dying("api", "Services.check store.check", "Services.check queue.check", "Services.check callback_queue.check")
def is_asked_how_it_is(trial: Trial) -> Sequence[Task]:
    trial.dies_of("GET", "/health?deep=true")
    assert trial.ask("GET", "/health?deep=true").json()["status"] == "ok"
    return [trial.submit()]


def _dead_letters(trial: Trial, *bodies: str) -> None:
    for body in bodies:
        url = trial.installation.settings.callback_dead_letter_url
        trial.installation.aws.sqs.send_message(QueueUrl=url, MessageBody=body)


def _listed(trial: Trial, task: Task, path: str) -> Sequence[Task]:
    trial.dies_of("GET", path)
    assert [one["id"] for one in trial.ask("GET", path).json()["tasks"]] == [task.id]
    return [task]


def _repeat(trial: Trial, body: dict[str, Any]) -> Sequence[Task]:
    """The request under its key, again until it is answered: there is one task."""
    trial.dies_of("POST", "/v1/tasks", json=body, headers=KEY)
    answer = trial.ask("POST", "/v1/tasks", json=body, headers=KEY)
    assert answer.status_code in (200, 202), answer.text
    kept = [states[0] for states in trial.installation.journal.values()]
    assert [task.id for task in kept] == [answer.json()["id"]]
    return kept
