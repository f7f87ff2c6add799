"""Cancel, retry and reschedule, as callers see it."""

from collections.abc import Sequence
from typing import Any

import pytest

from api.views import TaskView
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.errors import Unavailable
from tasklane.ports import Change
from tasklane.task import Document, Status, Task
from tests.support.builders import NOW, a_completed_task, a_running_task, a_task, an_error
from tests.unit.api.conftest import Installation, an_installation, the_problem

FINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED)
CANCELS = (("POST", "/cancel"), ("DELETE", ""))
CHANGES = ((*CANCELS[0], None), (*CANCELS[1], None), ("POST", "/retry", None), ("PATCH", "", {"priority": 5}))


def kept(api: Installation, task: Task) -> str:
    """The path of a task that is in the store."""
    api.store.put([task])
    return f"/v1/tasks/{task.id}"


def stored(api: Installation, path: str) -> Task:
    task_id = path.removeprefix("/v1/tasks/")
    return api.store.get([task_id])[task_id]


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "suffix"), CANCELS)
def test_a_waiting_task_is_cancelled_at_once(api: Installation, method: str, suffix: str) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    response = api.client.request(method, path + suffix)

    assert response.status_code == 200
    assert TaskView.model_validate_json(response.content).status == "cancelled"
    now = api.client.get(path)
    assert (response.content, response.headers["etag"]) == (now.content, now.headers["etag"])
    api.work()
    assert stored(api, path).status is Status.CANCELLED, "its message comes too late"


@pytest.mark.parametrize(("method", "suffix"), CANCELS)
def test_the_cancellation_of_a_running_task_is_requested(api: Installation, method: str, suffix: str) -> None:
    path = kept(api, a_running_task())

    first, again = (api.client.request(method, path + suffix) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    for response in (first, again):
        view = TaskView.model_validate_json(response.content)
        assert (view.status, view.cancel_requested) == ("running", True)


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize(("method", "suffix"), CANCELS)
def test_a_final_task_cannot_be_cancelled(api: Installation, status: Status, method: str, suffix: str) -> None:
    path = kept(api, a_completed_task(status=status))

    problem = the_problem(api.client.request(method, path + suffix), 409, "invalid-transition")

    assert problem["detail"] == f"The task is {status.value} already."


# -- retry -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.EXPIRED])
def test_a_task_that_did_not_complete_begins_again(api: Installation, status: Status) -> None:
    path = kept(api, a_completed_task(status=status, result=None, error=an_error(), outcome_at=NOW))

    response = api.client.post(path + "/retry")

    assert response.status_code == 202
    view = TaskView.model_validate_json(response.content)
    assert (view.status, view.attempt, view.max_attempts, view.error) == ("pending", 1, 4, None)
    api.work()
    assert api.client.get(path).json()["status"] == "completed"


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(a_task, id="pending"),
        pytest.param(lambda: a_task(status=Status.SCHEDULED, run_at=NOW + 60_000), id="scheduled"),
        pytest.param(a_running_task, id="running"),
        pytest.param(a_completed_task, id="completed"),
    ],
)
def test_no_other_task_can_be_retried(api: Installation, task: Any) -> None:
    path = kept(api, task())
    before = stored(api, path)

    the_problem(api.client.post(path + "/retry"), 409, "invalid-transition")

    assert stored(api, path) == before


# -- reschedule --------------------------------------------------------------------------------------------------------


def patched(api: Installation, path: str, body: Any) -> dict[str, Any]:
    response = api.client.request("PATCH", path, json=body)
    assert response.status_code == 200, response.text
    TaskView.model_validate_json(response.content)
    task: dict[str, Any] = response.json()
    assert task == api.client.get(path).json()
    return task


def test_a_waiting_task_gets_another_start(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    task = patched(api, path, {"run_at": "2025-06-15T16:00:00+01:00"})
    assert (task["status"], task["run_at"]) == ("pending", None), "a time gone by is at once"
    task = patched(api, path, {"run_at": "2025-06-15T15:10:00Z"})
    assert (task["status"], task["run_at"]) == ("scheduled", "2025-06-15T15:10:00.000Z")
    api.work()
    assert stored(api, path).status is Status.SCHEDULED, "the old start is void"
    api.clock.advance(200)
    api.work()
    assert stored(api, path).status is Status.COMPLETED


def test_null_as_the_start_is_at_once(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(delay_seconds=3600)}"

    assert patched(api, path, {"run_at": None})["status"] == "pending"
    api.work()
    assert stored(api, path).status is Status.COMPLETED


def test_what_is_not_given_stays(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(delay_seconds=60)}"

    task = patched(api, path, {"priority": 5})
    assert (task["priority"], task["status"], task["run_at"]) == (5, "scheduled", "2025-06-15T15:07:40.000Z")
    task = patched(api, path, {"run_at": None})
    assert (task["priority"], task["status"]) == (5, "pending")


def test_a_merge_patch_may_be_declared_as_one(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"
    headers = {"content-type": "application/merge-patch+json"}

    assert api.client.request("PATCH", path, content=b'{"priority":1}', headers=headers).json()["priority"] == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ([], ""),
        ({"priority": None}, "/priority"),
        ({"priority": 6}, "/priority"),
        ({"priority": "5"}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": 1_750_000_000}, "/run_at"),
        ({"run_at": "2026-07-01T00:00:00Z"}, "/run_at"),
        ({"status": "completed"}, "/status"),
        ({"priority": 5, "payload": {}}, "/payload"),
    ],
)
def test_a_wrong_change_is_pointed_at_and_changes_nothing(api: Installation, body: Any, pointer: str) -> None:
    path = f"/v1/tasks/{api.submitted()}"
    before = stored(api, path)

    problem = the_problem(api.client.request("PATCH", path, json=body), 422, "invalid-request")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert stored(api, path) == before


def test_a_start_after_the_expiry_is_refused(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(expires_at='2025-06-15T16:00:00Z')}"

    response = api.client.request("PATCH", path, json={"run_at": "2025-06-15T16:00:00Z"})

    assert the_problem(response, 422, "invalid-request")["errors"][0]["pointer"] == "/run_at"


@pytest.mark.parametrize("status", [Status.RUNNING, *FINAL])
def test_a_task_that_does_not_wait_cannot_be_rescheduled(api: Installation, status: Status) -> None:
    path = kept(api, a_running_task(status=status))

    the_problem(api.client.request("PATCH", path, json={"priority": 5}), 409, "invalid-transition")


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "suffix", "body"), CHANGES)
@pytest.mark.parametrize("task_id", ["nope", "ü", "%00", "x" * 5000])
def test_what_is_not_there_cannot_be_changed(
    api: Installation, method: str, suffix: str, body: Any, task_id: str
) -> None:
    the_problem(api.client.request(method, f"/v1/tasks/{task_id}{suffix}", json=body), 404, "task-not-found")


class SilentStore(MemoryTaskStore):
    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        return [Unavailable("throttled")] * len(changes)


@pytest.mark.parametrize(("method", "suffix", "body"), CHANGES)
def test_a_table_that_does_not_answer_is_no_success(method: str, suffix: str, body: Any) -> None:
    store = SilentStore()
    with an_installation(store=store) as api:
        task = a_completed_task(status=Status.FAILED) if suffix == "/retry" else a_task()
        store.put([task])

        response = api.client.request(method, f"/v1/tasks/{task.id}{suffix}", json=body)

    the_problem(response, 503, "unavailable")


@pytest.mark.parametrize(("method", "suffix", "body"), CHANGES)
def test_a_change_is_answered_though_a_document_cannot_be_fetched(
    api: Installation, method: str, suffix: str, body: Any
) -> None:
    large = Document(text=None, size=50_000, blob_key="gone")
    task = a_completed_task(status=Status.FAILED) if suffix == "/retry" else a_task()
    path = kept(api, task.evolve(payload=large))

    response = api.client.request(method, path + suffix, json=body)

    assert response.status_code in (200, 202)
    assert (response.json()["payload"], response.json()["payload_url"]) == (None, f"{path}/payload")


@pytest.mark.parametrize(
    ("method", "suffix", "allowed"),
    [
        ("PUT", "", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/cancel", "POST"),
        ("DELETE", "/retry", "POST"),
        ("POST", "/payload", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(api: Installation, method: str, suffix: str, allowed: str) -> None:
    response = api.client.request(method, f"/v1/tasks/{api.submitted()}{suffix}")

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/tasks/remove", "POST"),
        ("/v1/task-types/echo/pause", "POST"),
        ("/v1/task-types/echo", "GET, HEAD"),
        ("/v1/task-types/a/b/c", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_those_of_the_closest_address(api: Installation, path: str, allowed: str) -> None:
    response = api.client.request("PUT", path)

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed
