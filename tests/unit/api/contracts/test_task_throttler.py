"""Contract 5."""

import json
from typing import Any

import pytest

from api.contracts.views import ThrottlerTask
from tasklane.task import Status
from tests.unit.api.conftest import Installation, the_problem
from tests.unit.api.contracts.conftest import become, the_task

GREETING = "/api/v1/task/greeting"
LONG = ["/api/v1/task/blocking_long_running_task", "/api/v1/task/non_blocking_long_running_task"]


def submitted(api: Installation, path: str, body: Any) -> str:
    response = api.client.post(path, json=body)
    assert response.status_code == 202, response.text
    task_id: str = response.json()["task_id"]
    assert response.json() == {"task_id": task_id, "status": "pending"}
    return task_id


def test_a_greeting_is_accepted_and_its_result_is_there(shipped: Installation) -> None:
    task_id = submitted(shipped, GREETING, {"name": "Ada"})
    before = shipped.client.get(f"/api/v1/task/result/{task_id}").json()
    shipped.work()
    after = shipped.client.get(f"/api/v1/task/result/{task_id}")

    assert before == {"task_id": task_id, "status": "pending", "result": None}
    assert after.json() == {"task_id": task_id, "status": "completed", "result": "Hello, Ada!"}
    ThrottlerTask.model_validate_json(after.content)
    assert the_task(shipped, task_id).contract == "task-throttler"


def test_a_task_names_its_own_dimensions(shipped: Installation) -> None:
    shipped.client.request("PUT", "/v1/limits/account:7", json={"max_concurrent": 0})
    task_id = submitted(shipped, GREETING, {"name": "Ada", "throttle_keys": ["cluster", "account:7"]})
    shipped.work()

    task = the_task(shipped, task_id)
    assert (task.throttle_keys, task.line) == (("account:7", "cluster"), "limit:account:7")
    assert json.loads(task.payload.text or "") == {"name": "Ada"}
    assert shipped.client.get(f"/api/v1/task/result/{task_id}").json()["status"] == "pending"


@pytest.mark.parametrize("path", LONG)
def test_the_long_tasks_sleep(shipped: Installation, path: str) -> None:
    task_id = submitted(shipped, path, {"duration": 0.01})
    shipped.work()

    assert shipped.client.get(f"/api/v1/task/result/{task_id}").json()["result"]["duration"] >= 0.01


def test_a_download_is_accepted(shipped: Installation) -> None:
    task_id = submitted(shipped, "/api/v1/task/download", {"url": "https://example.com/a"})
    shipped.work()

    result = shipped.client.get(f"/api/v1/task/result/{task_id}").json()["result"]
    assert (result["length"], len(result["digest"])) == (0, 64)


@pytest.mark.parametrize(
    ("path", "body", "kind", "pointer"),
    [
        (GREETING, {}, "invalid-request", "/name"),
        (GREETING, {"name": 1}, "invalid-request", "/name"),
        (GREETING, {"name": "Ada", "age": 36}, "invalid-request", "/age"),
        ("/api/v1/task/download", {"url": "ftp://example.com/"}, "invalid-request", "/url"),
        (LONG[0], {"duration": -1}, "invalid-request", "/duration"),
        (LONG[1], {"duration": "1"}, "invalid-request", "/duration"),
        (LONG[1], {"duration": 10_000}, "invalid-request", "/duration"),
    ],
)
def test_what_is_wrong_is_pointed_at(shipped: Installation, path: str, body: Any, kind: str, pointer: str) -> None:
    problem = the_problem(shipped.client.post(path, json=body), 422, kind)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("status", list(Status))
def test_its_statuses_are_the_cores(shipped: Installation, status: Status) -> None:
    task_id = submitted(shipped, GREETING, {"name": "Ada"})
    become(shipped, task_id, status=status, run_at=shipped.clock.now() + 1000)

    assert shipped.client.get(f"/api/v1/task/result/{task_id}").json()["status"] == status.value


def test_an_unknown_id_is_a_problem(shipped: Installation) -> None:
    the_problem(shipped.client.get("/api/v1/task/result/nope"), 404, "task-not-found")


def test_the_same_key_and_body_at_another_path_is_another_request(shipped: Installation) -> None:
    headers = {"idempotency-key": "one"}
    first = shipped.client.post(LONG[0], json={"duration": 0}, headers=headers)
    again = shipped.client.post(LONG[0], json={"duration": 0}, headers=headers)

    assert (again.status_code, again.json()) == (202, first.json())
    other = shipped.client.post(LONG[1], json={"duration": 0}, headers=headers)
    the_problem(other, 422, "idempotency-conflict")


def test_a_type_that_was_removed_is_a_problem(api: Installation) -> None:
    problem = the_problem(api.client.post(GREETING, json={"name": "Ada"}), 422, "unknown-task-type")

    assert problem["errors"][0]["pointer"] == ""


def test_a_task_of_another_contract_answers_in_its_own_words(shipped: Installation) -> None:
    greeting = submitted(shipped, GREETING, {"name": "Ada"})
    number = shipped.client.post("/tasks", json={"task_type": "CollatzTask", "input_data": {"n": 1}}).json()["id"]
    mail = {"to": "ada@example.com", "subject": "", "body": ""}
    mailed = shipped.client.post("/tasks", json={"task_type": "send_email", "payload": mail}).json()["task_id"]
    job = shipped.client.post("/api/tasks", json={"name": "report", "parameters": {}}).json()["task_id"]

    for path in ("/tasks/{}", "/api/v1/task/result/{}", "/api/tasks/{}/state"):
        shown = {one: shipped.client.get(path.format(one)).json() for one in (greeting, number, mailed, job)}
        assert set(shown[greeting]) == {"task_id", "status", "result"}
        assert set(shown[number]) >= {"id", "task_type", "input_data", "updated_at"}
        assert shown[mailed] == {"task_id": mailed, "status": "queued"}
        assert shown[job] == {"task_id": job, "status": "PENDING", "progress": 0.0, "message": "pending"}
