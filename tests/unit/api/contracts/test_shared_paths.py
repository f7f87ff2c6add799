"""Contracts 2 and 4, which share their paths."""

import json
from typing import Any

import httpx
import pytest

from api.contracts.views import ProcessorTask, TaskQueueCreated, TaskQueueTask, UnknownId
from tasklane.task import Status
from tests.unit.api.conftest import Installation, the_problem
from tests.unit.api.contracts.conftest import become

COUNT = {"task_type": "count", "input_data": {"n": 10}}
ECHO = {"task_type": "echo", "payload": {"a": "ü"}}


def post(api: Installation, body: Any, path: str = "/tasks", **headers: str) -> httpx.Response:
    return api.client.post(path, json=body, headers={name.replace("_", "-"): one for name, one in headers.items()})


def submitted(api: Installation, body: Any) -> str:
    answer = post(api, body).json()
    return str(answer.get("id") or answer["task_id"])


# -- submitting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tasks", "/tasks/"])
def test_input_data_means_contract_2(api: Installation, path: str) -> None:
    response = post(api, COUNT | {"priority": 5}, path)

    assert response.status_code == 201
    created = TaskQueueCreated.model_validate_json(response.content)
    assert set(response.json()) == {"id", "task_type", "status", "priority", "created_at"}
    assert (created.task_type, created.status, created.priority) == ("count", "pending", 5)
    assert api.store.get([created.id])[created.id].contract == "task-queue"
    assert api.queues.depth(5) == 1


@pytest.mark.parametrize("path", ["/tasks", "/tasks/"])
def test_payload_means_contract_4(api: Installation, path: str) -> None:
    response = post(api, ECHO, path)

    assert response.status_code == 200
    assert response.json() == {"task_id": response.json()["task_id"], "status": "queued"}
    task = api.store.get([response.json()["task_id"]])[response.json()["task_id"]]
    assert (task.contract, task.type) == ("async-processor", "echo")


def test_contract_2_has_priority_3_whatever_the_type_says(api: Installation) -> None:
    assert post(api, COUNT).json()["priority"] == 3
    assert api.services.registry.find("count").priority == 2


@pytest.mark.parametrize("body", [{"task_type": "echo"}, COUNT | {"payload": {}}, [], "echo", 1])
def test_a_body_of_neither_or_both_is_refused(api: Installation, body: Any) -> None:
    problem = the_problem(post(api, body), 422, "invalid-request")

    assert "input_data (contract 2) or payload (contract 4)" in problem["errors"][0]["detail"]
    assert problem["errors"][0]["pointer"] == ""


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (COUNT | {"priority": 0}, "/priority"),
        (COUNT | {"priority": 6}, "/priority"),
        (COUNT | {"priority": "3"}, "/priority"),
        (COUNT | {"task_type": ""}, "/task_type"),
        (COUNT | {"input_data": []}, "/input_data"),
        (COUNT | {"other": 1}, "/other"),
        (ECHO | {"payload": "x"}, "/payload"),
        (ECHO | {"priority": 3}, "/priority"),
        ({"payload": {}}, "/task_type"),
    ],
)
def test_what_is_wrong_is_pointed_at(api: Installation, body: Any, pointer: str) -> None:
    problem = the_problem(post(api, body), 422, "invalid-request")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (COUNT | {"input_data": {"n": 101}}, "/input_data/n"),
        ({"task_type": "count", "payload": {"n": "10"}}, "/payload/n"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_where_it_stands(api: Installation, body: Any, pointer: str) -> None:
    problem = the_problem(post(api, body), 422, "invalid-payload")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_document_that_is_too_large_is_pointed_at(api: Installation) -> None:
    large = {"task_type": "echo", "input_data": {"a": "x" * (5 * 1024 * 1024)}}

    problem = the_problem(post(api, large), 413, "too-large")

    assert [error["pointer"] for error in problem["errors"]] == ["/input_data"]


def test_contract_2_answers_400_to_an_unknown_type_and_lists_those_there_are(api: Installation) -> None:
    problem = the_problem(post(api, COUNT | {"task_type": "nope"}), 400, "unknown-task-type")

    assert "Known task types: count, echo, resize." in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/task_type"


def test_contract_4_answers_an_unknown_type_as_the_core_does(api: Installation) -> None:
    problem = the_problem(post(api, ECHO | {"task_type": "nope"}), 422, "unknown-task-type")

    assert problem["errors"][0]["pointer"] == "/task_type"


@pytest.mark.parametrize("body", [COUNT, ECHO])
def test_an_idempotency_key_makes_one_task(api: Installation, body: Any) -> None:
    first = post(api, body, idempotency_key="one")
    again = post(api, body, idempotency_key="one")

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    the_problem(post(api, body | {"task_type": "resize"}, idempotency_key="one"), 422, "idempotency-conflict")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_contract_2_shows_the_result_as_a_string(api: Installation) -> None:
    task_id = submitted(api, COUNT)
    before = TaskQueueTask.model_validate_json(api.client.get(f"/tasks/{task_id}").content)
    api.clock.advance(5)
    api.work()

    shown = api.client.get(f"/tasks/{task_id}")
    task = TaskQueueTask.model_validate_json(shown.content)
    assert set(shown.json()) == set(TaskQueueTask.model_fields)
    assert (before.status, before.result, before.updated_at) == ("pending", None, before.created_at)
    assert (task.status, task.input_data, task.priority) == ("completed", {"n": 10}, 3)
    assert isinstance(task.result, str)
    assert json.loads(task.result) == 10
    assert task.updated_at > task.created_at


def test_contract_4_shows_a_status_and_no_more(api: Installation) -> None:
    task_id = submitted(api, ECHO)
    before = api.client.get(f"/tasks/{task_id}")
    api.work()
    after = api.client.get(f"/tasks/{task_id}")

    assert before.json() == {"task_id": task_id, "status": "queued"}
    assert after.json() == {"task_id": task_id, "status": "completed"}
    ProcessorTask.model_validate_json(after.content)


@pytest.mark.parametrize(
    ("status", "started", "contract_2", "contract_4"),
    [
        (Status.SCHEDULED, None, "pending", "queued"),
        (Status.PENDING, None, "pending", "queued"),
        (Status.RUNNING, 1, "running", "processing"),
        (Status.SCHEDULED, 1, "running", "processing"),
        (Status.PENDING, 1, "running", "processing"),
        (Status.COMPLETED, 1, "completed", "completed"),
        (Status.FAILED, 1, "failed", "failed"),
        (Status.CANCELLED, None, "failed", "failed"),
        (Status.EXPIRED, None, "failed", "failed"),
    ],
)
def test_four_statuses_never_go_backwards(
    api: Installation, status: Status, started: int | None, contract_2: str, contract_4: str
) -> None:
    for body, shown in ((COUNT, contract_2), (ECHO, contract_4)):
        task_id = submitted(api, body)
        become(api, task_id, status=status, started_at=started)
        assert api.client.get(f"/tasks/{task_id}").json()["status"] == shown


def test_a_task_of_v1_is_shown_in_contract_2s_words(api: Installation) -> None:
    task_id = api.submitted(payload={"a": 1})
    api.work()

    shown = api.client.get(f"/tasks/{task_id}").json()
    assert (shown["id"], shown["input_data"], shown["result"]) == (task_id, {"a": 1}, '{"a":1}')
    assert api.client.get(f"/v1/tasks/{task_id}").json()["contract"] is None


@pytest.mark.parametrize(("body", "contract"), [(COUNT, "task-queue"), (ECHO, "async-processor")])
def test_v1_shows_every_task_in_its_own_words_and_names_the_contract(
    api: Installation, body: Any, contract: str
) -> None:
    task = api.client.get(f"/v1/tasks/{submitted(api, body)}").json()

    assert (task["status"], task["contract"], task["payload"]) == (
        "pending",
        contract,
        body.get("input_data", body.get("payload")),
    )


def test_documents_that_are_too_large_for_an_answer_are_null(api: Installation) -> None:
    body = {"task_type": "echo", "input_data": {"quotes": '"' * 2_000_000}}
    task_id = submitted(api, body)
    api.work()

    task = api.client.get(f"/tasks/{task_id}").json()

    assert (task["status"], task["input_data"], task["result"]) == ("completed", None, None)
    assert len(api.client.get(f"/v1/tasks/{task_id}/result").content) > 4_000_000


@pytest.mark.parametrize("task_id", ["nope", "x" * 3000, "%F0%9F%A6%8A"])
def test_an_unknown_id_says_not_found_in_words_too(api: Installation, task_id: str) -> None:
    response = api.client.get(f"/tasks/{task_id}")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json", "a problem's status is a number"
    body = UnknownId.model_validate_json(response.content)
    assert (body.status, body.type) == ("not_found", "urn:tasklane:problem:task-not-found")
    assert body.correlation_id == response.headers["x-correlation-id"]


def test_other_methods_are_problems(api: Installation) -> None:
    response = api.client.request("PUT", "/tasks")

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
