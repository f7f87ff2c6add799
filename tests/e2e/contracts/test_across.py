"""What was submitted in the words of one contract is seen in the same through every other, and in full through /v1."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.contracts.polling import poll
from tests.e2e.local_run import result_of, submit

if TYPE_CHECKING:
    import httpx

pytestmark = [pytest.mark.engine, pytest.mark.slow]

Submission = tuple[str, dict[str, Any]]
SUBMISSIONS: dict[str, Submission] = {
    "task-queue": ("/tasks/", {"task_type": "CollatzTask", "input_data": {"n": 27}}),
    "task-execution": ("/api/tasks", {"name": "report", "parameters": {"steps": 1, "step_seconds": 0}}),
    "async-processor": ("/tasks", {"task_type": "CollatzTask", "payload": {"n": 27}}),
    "task-throttler": ("/api/v1/task/greeting", {"name": "Ada"}),
}
WORDS = {
    "pull-broker": {"task_id", "status", "result"},
    "task-queue": {"id", "task_type", "input_data", "status", "result", "priority", "created_at", "updated_at"},
    "task-execution": {"task_id", "status", "progress", "message"},
    "async-processor": {"task_id", "status"},
    "task-throttler": {"task_id", "status", "result"},
}
ROUTES = {
    "pull-broker": "/result/{}",
    "task-queue": "/tasks/{}",
    "task-execution": "/api/tasks/{}/state",
    "task-throttler": "/api/v1/task/result/{}",
}


@pytest.mark.parametrize("contract", SUBMISSIONS)
def test_a_task_answers_in_the_words_of_its_contract_through_every_route(client: httpx.Client, contract: str) -> None:
    path, body = SUBMISSIONS[contract]
    made = client.post(path, json=body).json()
    task_id = made.get("id") or made["task_id"]
    own = ROUTES.get(contract, ROUTES["task-queue"]).format(task_id)
    ended = poll(client, own, lambda task: task["status"].lower() == "completed")

    shown = [client.get(route.format(task_id)).json() for route in ROUTES.values()]

    assert [set(one) for one in shown] == [WORDS[contract]] * len(ROUTES)
    assert all(one == shown[0] for one in shown)
    in_full = client.get(f"/v1/tasks/{task_id}").json()
    assert (in_full["id"], in_full["contract"], in_full["status"]) == (task_id, contract, "completed")
    if "result" in WORDS[contract]:
        result = json.loads(ended["result"]) if contract == "task-queue" else ended["result"]
        assert in_full["result"] == result
    else:
        assert in_full["result"] is not None


def test_an_external_workers_task_answers_in_its_own_words_too(client: httpx.Client) -> None:
    function = f"across-{uuid.uuid4().hex[:8]}"
    task_id = client.post("/enqueue", json={"function": function, "data": [1]}).json()["task_id"]
    assert client.get("/get_task", params={"function": function, "wait": 20}).json()["task_id"] == task_id

    # While it is worked on the words are other ones than those of the routes
    processing = {"task_id": task_id, "status": "processing", "result": None}
    assert [client.get(route.format(task_id)).json() for route in ROUTES.values()] == [processing] * len(ROUTES)
    in_full = client.get(f"/v1/tasks/{task_id}").json()
    assert (in_full["status"], in_full["contract"], in_full["type"]) == ("running", "pull-broker", function)

    client.post("/submit_result", json={"task_id": task_id, "result": 1}).raise_for_status()
    completed = {"task_id": task_id, "status": "completed", "result": 1}
    assert [client.get(route.format(task_id)).json() for route in ROUTES.values()] == [completed] * len(ROUTES)


def test_a_worker_of_the_pull_broker_does_what_was_submitted_elsewhere(client: httpx.Client) -> None:
    function = f"across-{uuid.uuid4().hex[:8]}"
    client.post("/v1/task-types", json={"name": function}).raise_for_status()
    queued = client.post("/tasks/", json={"task_type": function, "input_data": {"n": 1}, "priority": 4}).json()["id"]
    first = submit(client, type=function, payload=[2, "two"], priority=5)

    works = [client.get("/get_task", params={"function": function, "wait": 20}).json() for _ in range(2)]

    assert [(work["task_id"], work["data"]) for work in works] == [(first, [2, "two"]), (queued, [{"n": 1}])]
    client.post("/submit_result", json={"task_id": queued, "result": {"done": True}}).raise_for_status()
    ended = client.get(f"/tasks/{queued}").json()
    assert (ended["status"], json.loads(ended["result"])) == ("completed", {"done": True})


@pytest.mark.parametrize("contract", ROUTES)
def test_a_task_of_v1_answers_in_the_words_of_the_route(client: httpx.Client, contract: str) -> None:
    task_id = submit(client, type="CollatzTask", payload={"n": 27})
    result_of(client, task_id)

    assert set(client.get(ROUTES[contract].format(task_id)).json()) == WORDS[contract]


def test_a_task_of_a_contract_can_be_changed_through_v1(client: httpx.Client) -> None:
    body = {"task_type": "sleep", "payload": {"seconds": 60}}
    task_id = client.post("/tasks", json=body).json()["task_id"]

    assert client.delete(f"/v1/tasks/{task_id}").status_code in (200, 202)

    seen = client.get(f"/v1/tasks/{task_id}", params={"wait": 20, "until": "final"}).json()
    assert seen["status"] == "cancelled"
    assert client.get(f"/tasks/{task_id}").json() == {"task_id": task_id, "status": "failed"}
