"""Contract 1 in process: what a client of the pull broker does not do, but others may."""

from typing import Any

import pytest

from api.contracts.views import BrokerAccepted, BrokerState, BrokerTask
from tasklane.document import MAX_DOCUMENT
from tasklane.errors import Unavailable
from tests.unit.api.conftest import Installation, the_problem


def enqueue(api: Installation, function: str = "resize-it", data: Any = None) -> str:
    response = api.client.post("/enqueue", json={"function": function, "data": [1] if data is None else data})
    assert response.status_code == 200, response.text
    BrokerAccepted.model_validate(response.json())
    return str(response.json()["task_id"])


def get_task(api: Installation, **query: Any) -> dict[str, Any]:
    response = api.client.get("/get_task", params=query)
    assert response.status_code == 200, response.text
    work: dict[str, Any] = response.json()
    return work


def result(api: Installation, task_id: str) -> dict[str, Any]:
    state: dict[str, Any] = api.client.get(f"/result/{task_id}").json()
    BrokerState.model_validate(state)
    return state


def run_out(api: Installation) -> None:
    api.clock.advance(60)
    api.work()


def test_the_first_use_of_a_name_declares_it(api: Installation) -> None:
    enqueue(api, "never-heard-of")

    declared = api.client.get("/v1/task-types/never-heard-of").json()
    assert (declared["external"], declared["timeout_seconds"]) == (True, 60)


def test_the_lease_is_what_the_type_says(api: Installation) -> None:
    api.client.post("/v1/task-types", json={"name": "quick", "timeout_seconds": 5})
    task_id = enqueue(api, "quick")
    get_task(api)
    api.clock.advance(5)
    api.work()

    api.clock.advance(20)
    api.work()
    assert get_task(api)["task_id"].startswith(task_id)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("query", [{}, {"function": "resize-it"}, {"wait": "1"}])
def test_only_get_takes_a_task(api: Installation, method: str, query: dict[str, str]) -> None:
    task_id = enqueue(api)

    answer = api.client.request(method, "/get_task", params=query)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert result(api, task_id)["status"] == "pending"
    assert get_task(api)["task_id"] == task_id


def test_a_name_that_has_a_handler_is_the_external_workers_all_the_same(api: Installation) -> None:
    task_id = enqueue(api, "echo", ["for a worker"])
    api.submitted(type="echo")
    api.work()

    assert get_task(api, function="echo") == {"task_id": task_id, "function": "echo", "data": ["for a worker"]}
    assert get_task(api)["task_id"] is None, "the handler's tasks are not handed out"
    assert api.client.get("/v1/task-types/echo").json()["external"] is False


@pytest.mark.parametrize("query", [{}, {"function": "resize"}])
@pytest.mark.parametrize(("payload", "data"), [({"n": 1}, [{"n": 1}]), ({}, [{}]), (["a", 1], ["a", 1]), ([], [])])
def test_a_task_of_v1_is_handed_out_as_a_list_too(
    api: Installation, query: dict[str, Any], payload: Any, data: list[Any]
) -> None:
    task_id = api.submitted(type="resize", payload=payload)

    work = get_task(api, **query)
    BrokerTask.model_validate(work)
    assert work == {"task_id": task_id, "function": "resize", "data": data}
    answer = api.client.post("/submit_result", json={"task_id": task_id, "result": "done"})

    assert answer.json() == {"status": "completed", "task_id": task_id}
    assert api.client.get(f"/v1/tasks/{task_id}").json()["result"] == "done"
    assert result(api, task_id) == {"task_id": task_id, "status": "completed", "result": "done"}


def test_a_task_that_goes_out_again_has_another_id_for_its_next_holder(api: Installation) -> None:
    task_id = enqueue(api)
    assert get_task(api)["task_id"] == task_id
    run_out(api)
    again = get_task(api)["task_id"]

    late = api.client.post("/submit_result", json={"task_id": task_id, "result": "late"})
    the_problem(late, 409, "lease-lost")
    assert result(api, again)["status"] == "processing"
    assert api.client.post("/submit_result", json={"task_id": again, "result": "in time"}).json() == {
        "status": "completed",
        "task_id": again,
    }
    assert result(api, task_id)["result"] == result(api, again)["result"] == "in time"
    the_problem(api.client.post("/submit_result", json={"task_id": task_id, "result": "x"}), 409, "lease-lost")


def test_a_late_result_is_taken_while_nobody_else_has_the_task(api: Installation) -> None:
    task_id = enqueue(api)
    get_task(api)
    run_out(api)

    assert api.client.post("/submit_result", json={"task_id": task_id, "result": 1}).status_code == 200
    assert get_task(api)["task_id"] is None


def test_a_task_is_lost_a_hundred_times_before_it_is_given_up(api: Installation) -> None:
    task_id = enqueue(api)
    for _ in range(99):
        assert get_task(api)["task_id"] is not None
        run_out(api)
    assert result(api, task_id)["status"] == "processing"

    get_task(api)
    run_out(api)

    assert result(api, task_id)["status"] == "failed"


def test_a_result_may_be_submitted_twice(api: Installation) -> None:
    task_id = enqueue(api)
    get_task(api)
    answers = [api.client.post("/submit_result", json={"task_id": task_id, "result": [1]}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    other = api.client.post("/submit_result", json={"task_id": task_id, "result": [2]})
    the_problem(other, 409, "lease-lost")


def test_nobody_submits_what_nobody_fetched(api: Installation) -> None:
    task_id = enqueue(api)

    the_problem(api.client.post("/submit_result", json={"task_id": task_id, "result": 1}), 409, "lease-lost")


def test_what_was_called_off_has_failed(api: Installation) -> None:
    task_id = enqueue(api)
    api.client.post(f"/v1/tasks/{task_id}/cancel")

    assert result(api, task_id) == {"task_id": task_id, "status": "failed", "result": None}


@pytest.mark.parametrize("task_id", ["nobody", "nobody~2", "nobody~x", "x" * 100, "a~1~2", "ü~²"])
def test_an_unknown_id_is_not_found(api: Installation, task_id: str) -> None:
    the_problem(api.client.get(f"/result/{task_id}"), 404, "task-not-found")


@pytest.mark.parametrize(
    "body",
    [{"function": "f"}, {"data": []}, {"function": "f", "data": {}}, {"function": 1, "data": []}, {"function": ""}],
)
def test_what_makes_no_sense_is_refused(api: Installation, body: dict[str, Any]) -> None:
    the_problem(api.client.post("/enqueue", json=body), 422, "invalid-request")


@pytest.mark.parametrize("query", [{"wait": 21}, {"wait": -1}, {"wait": "long"}, {"function": ""}])
def test_a_wait_that_makes_no_sense_is_refused(api: Installation, query: dict[str, Any]) -> None:
    the_problem(api.client.get("/get_task", params=query), 400, "invalid-parameter")


def test_an_idempotency_key_makes_one_task(api: Installation) -> None:
    headers = {"idempotency-key": "once"}
    answers = [api.client.post("/enqueue", json={"function": "f", "data": []}, headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"


def test_a_task_whose_data_cannot_be_read_is_given_back(api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(key: str) -> bytes:
        raise Unavailable("the bucket does not answer")

    task_id = enqueue(api, data=["x" * 5000])
    with monkeypatch.context() as patch:
        patch.setattr(api.blobs, "get", away)
        the_problem(api.client.get("/get_task"), 503, "unavailable")

    assert get_task(api)["task_id"] == task_id


def test_a_result_over_the_limit_is_pointed_at(api: Installation) -> None:
    task_id = enqueue(api)
    get_task(api)

    answer = api.client.post("/submit_result", json={"task_id": task_id, "result": "x" * MAX_DOCUMENT})

    problem = the_problem(answer, 413, "too-large")
    assert problem["errors"] == [{"pointer": "/result", "detail": f"At most {MAX_DOCUMENT} bytes of JSON."}]
