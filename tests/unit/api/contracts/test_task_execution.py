"""Contract 3, but for what only a real server shows: that its stream is one (tests/e2e/contracts)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api import stream
from api.contracts.views import ExecutionState
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.callback_body import Event, body_of
from tasklane.errors import Unavailable
from tasklane.task import CallbackState, ErrorDetails, Progress, Status, Task
from tests.support.waiting import wait_for
from tests.unit.api.conftest import Installation, an_installation, the_problem
from tests.unit.api.contracts.conftest import become, the_task

QUICK = {"steps": 2, "step_seconds": 0}
UNTRIED = "https://hooks.example.com/"


def submitted(api: Installation, **body: Any) -> str:
    response = api.client.post("/api/tasks", json={"name": "report", "parameters": QUICK} | body)
    assert response.status_code == 200, response.text
    task_id: str = response.json()["task_id"]
    assert response.json() == {"task_id": task_id}
    return task_id


def state(api: Installation, task_id: str) -> dict[str, Any]:
    response = api.client.get(f"/api/tasks/{task_id}/state")
    assert response.status_code == 200, response.text
    ExecutionState.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events' data; each event has an id and says when to come back."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    assert all(set(one) == {"data", "id", "retry"} for one in fields)
    return [json.loads(one["data"]) for one in fields]


# -- submitting --------------------------------------------------------------------------------------------------------


def test_a_job_is_accepted_and_done(shipped: Installation) -> None:
    task_id = submitted(shipped)
    before = state(shipped, task_id)
    shipped.work()

    assert before == {"task_id": task_id, "status": "PENDING", "progress": 0.0, "message": "pending"}
    assert state(shipped, task_id) == {
        "task_id": task_id,
        "status": "COMPLETED",
        "progress": 1.0,
        "message": "step 2 of 2",
    }


def test_a_job_needs_a_name_only(shipped: Installation) -> None:
    response = shipped.client.post("/api/tasks", json={"name": "report"})

    task = the_task(shipped, response.json()["task_id"])
    assert (task.type, task.contract, task.callback) == ("simulated_job", "task-execution", None)


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        ({"name": 1}, "invalid-request", "/name"),
        ({"parameters": []}, "invalid-request", "/parameters"),
        ({"callback_url": "nowhere"}, "invalid-request", "/callback_url"),
        ({"callback_url": "https://user:pw@example.com/"}, "invalid-request", "/callback_url"),
        ({"callback": "https://example.com/"}, "invalid-request", "/callback"),
        ({"parameters": {"steps": 0}}, "invalid-payload", "/parameters/steps"),
    ],
)
def test_what_is_wrong_is_pointed_at(shipped: Installation, body: Any, kind: str, pointer: str) -> None:
    response = shipped.client.post("/api/tasks", json={"name": "report", "parameters": {}} | body)

    assert [error["pointer"] for error in the_problem(response, 422, kind)["errors"]] == [pointer]


# -- the state ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"status": Status.RUNNING, "started_at": 1}, ("RUNNING", 0.0, "running")),
        (
            {"status": Status.SCHEDULED, "started_at": 1, "progress": Progress(fraction=0.5, message="half")},
            ("RUNNING", 0.5, "half"),
        ),
        ({"status": Status.COMPLETED, "progress": Progress(fraction=0.5)}, ("COMPLETED", 1.0, "completed")),
        (
            {
                "status": Status.FAILED,
                "progress": Progress(fraction=0.5, message="half"),
                "error": ErrorDetails(type="OSError", message="the disk is full"),
            },
            ("FAILED", 0.5, "the disk is full"),
        ),
        ({"status": Status.CANCELLED}, ("FAILED", 0.0, "The task is cancelled.")),
        (
            {"status": Status.EXPIRED, "error": ErrorDetails(type="OSError", message="of an earlier attempt")},
            ("FAILED", 0.0, "The task is expired."),
        ),
    ],
)
def test_the_state_has_four_statuses_in_capitals(
    shipped: Installation, changes: dict[str, Any], shown: tuple[str, float, str]
) -> None:
    task_id = submitted(shipped)
    become(shipped, task_id, **changes)

    found = state(shipped, task_id)
    assert (found["status"], found["progress"], found["message"]) == shown


@pytest.mark.parametrize("path", ["/api/tasks/nope", "/api/tasks/nope/state"])
def test_an_unknown_id_is_a_problem_before_any_event(shipped: Installation, path: str) -> None:
    the_problem(shipped.client.get(path), 404, "task-not-found")


# -- the stream --------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)


def test_a_final_task_has_one_event(shipped: Installation) -> None:
    task_id = submitted(shipped)
    shipped.work()

    assert events(shipped.client.get(f"/api/tasks/{task_id}")) == [state(shipped, task_id)]


@pytest.mark.usefixtures("quick_stream")
def test_the_stream_goes_on_until_the_task_is_final(shipped: Installation) -> None:
    task_id = submitted(shipped)
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(shipped.client.get, f"/api/tasks/{task_id}")
        with pytest.raises(TimeoutError):
            watching.result(timeout=0.3)
        shipped.work()
        told = events(watching.result(timeout=20))

    statuses = [event["status"] for event in told]
    assert len(told) > 2
    assert (statuses[0], statuses[-1]) == ("PENDING", "COMPLETED")
    assert set(statuses[:-1]) <= {"PENDING", "RUNNING"}


class SometimesSilentStore(MemoryTaskStore):
    silent = 0
    answered = 0

    def get(self, task_ids: Any) -> dict[str, Task]:
        if self.silent:
            self.silent -= 1
            raise Unavailable("throttled")
        self.answered += 1
        return super().get(task_ids)


@pytest.mark.usefixtures("quick_stream")
def test_a_table_that_is_away_for_a_moment_does_not_end_the_stream() -> None:
    store = SometimesSilentStore()
    with an_installation(store=store) as api, ThreadPoolExecutor(1) as pool:
        task_id = api.submitted()
        watching = pool.submit(api.client.get, f"/api/tasks/{task_id}")
        wait_for(lambda: store.answered >= 2)  # the stream has begun
        store.silent = 5
        wait_for(lambda: store.silent == 0)
        api.work()

        assert events(watching.result(timeout=20))[-1]["status"] == "COMPLETED"
        assert store.silent == 0


def test_a_table_that_is_away_at_first_is_a_problem() -> None:
    store = SometimesSilentStore()
    with an_installation(store=store) as api:
        task_id = api.submitted()
        store.silent = 1

        the_problem(api.client.get(f"/api/tasks/{task_id}"), 503, "unavailable")


@pytest.mark.usefixtures("quick_stream")
def test_a_task_whose_retention_ends_meanwhile_ends_its_stream(shipped: Installation) -> None:
    task_id = submitted(shipped)
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(shipped.client.get, f"/api/tasks/{task_id}")
        with pytest.raises(TimeoutError):
            watching.result(timeout=0.2)
        become(shipped, task_id, delete_at=1)

        assert {event["status"] for event in events(watching.result(timeout=20))} == {"PENDING"}


def test_whoever_has_the_last_event_is_told_that_it_was_the_last(shipped: Installation) -> None:
    task_id = submitted(shipped)
    shipped.work()
    last = shipped.client.get(f"/api/tasks/{task_id}").text.split("id: ")[1].split("\n")[0]

    again = shipped.client.get(f"/api/tasks/{task_id}", headers={"last-event-id": last})
    other = shipped.client.get(f"/api/tasks/{task_id}", headers={"last-event-id": "other"})

    assert (again.status_code, again.content) == (204, b"")
    assert events(other) == [state(shipped, task_id)]


def test_head_of_a_stream_ends_at_once(shipped: Installation) -> None:
    task_id = submitted(shipped)

    response = shipped.client.request("HEAD", f"/api/tasks/{task_id}")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")


# -- the callback ------------------------------------------------------------------------------------------------------


def told(api: Installation, task_id: str) -> dict[str, Any]:
    task = the_task(api, task_id)
    assert task.callback is not None
    assert task.callback.state is CallbackState.PENDING
    result = None if task.result is None else json.loads(api.services.read.text(task.result))
    return body_of(Event(name=task.status.value, task=task, at=task.finished_at or 0, result=result), task.contract)


def test_the_callback_tells_a_completion_in_the_contracts_words(shipped: Installation) -> None:
    parameters = QUICK | {"anything": [1]}
    task_id = submitted(shipped, parameters=parameters, callback_url=UNTRIED)
    shipped.clock.advance(1)
    shipped.work()

    body = told(shipped, task_id)
    completed_at = body["completed_at"]
    assert body == {
        "task_id": task_id,
        "status": "COMPLETED",
        "result": {
            "name": "report",
            "parameters": parameters,
            "completed_at": completed_at,
            "result_data": {"steps": 2},
        },
        "error": None,
        "completed_at": completed_at,
    }
    assert completed_at == shipped.client.get(f"/v1/tasks/{task_id}").json()["finished_at"]


def test_the_callback_tells_a_failure_too(shipped: Installation) -> None:
    task_id = submitted(shipped, parameters=QUICK | {"fail_at": 1}, callback_url=UNTRIED)
    shipped.work()

    body = told(shipped, task_id)
    assert (body["status"], body["result"]) == ("FAILED", None)
    assert body["error"] == "Step 1 of 2 failed, as it was asked to."
    assert body["completed_at"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://169.254.169.254/", "https://example.com:0/"])
def test_a_callback_that_could_never_arrive_is_refused(shipped: Installation, url: str) -> None:
    answer = shipped.client.post("/api/tasks", json={"name": "n", "callback_url": url})

    assert [error["pointer"] for error in the_problem(answer, 422, "invalid-request")["errors"]] == ["/callback_url"]
