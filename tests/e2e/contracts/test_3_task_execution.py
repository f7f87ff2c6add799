"""Contract 3, as a client of the task execution API knows it."""

from __future__ import annotations

import itertools
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.contracts.polling import poll
from tests.e2e.local_run import Receiver, receiver
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

pytestmark = [pytest.mark.engine, pytest.mark.slow]

STATUSES = ["PENDING", "RUNNING", "COMPLETED", "FAILED"]


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def execute(client: httpx.Client, url: str, name: str = "report", **parameters: Any) -> str:
    answer = client.post("/api/tasks", json={"name": name, "parameters": parameters, "callback_url": url})
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    assert answer.json() == {"task_id": task_id}
    return task_id


def watch(client: httpx.Client, task_id: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """The events, each with the seconds since the stream was asked for."""
    asked = time.monotonic()
    with client.stream("GET", f"/api/tasks/{task_id}", timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield time.monotonic() - asked, json.loads(line.removeprefix("data: "))


def is_over(state: dict[str, Any]) -> bool:
    return state["status"] in ("COMPLETED", "FAILED")


def told(hooks: Receiver, path: str) -> dict[str, Any]:
    found = wait_for(lambda: [one for one in hooks.received if one.path == path], f"the callback to {path}")
    body: dict[str, Any] = json.loads(found[0].body)
    return body


def test_a_job_is_watched_to_its_end(client: httpx.Client, hooks: Receiver) -> None:
    task_id = execute(client, f"{hooks.url}/watched", steps=14, step_seconds=0.5)

    events = list(watch(client, task_id))

    assert len(events) >= 3, "at once, after five seconds, at the end"
    assert all(set(event) == {"task_id", "status", "progress", "message"} for _, event in events)
    assert {event["task_id"] for _, event in events} == {task_id}
    at = [seconds for seconds, _ in events]
    assert at[0] < 3, "at once, however busy the machine is"
    assert 4.5 < at[1] - at[0] < 9
    statuses = [event["status"] for _, event in events]
    assert [STATUSES.index(one) for one in statuses] == sorted(STATUSES.index(one) for one in statuses)
    assert [one in ("COMPLETED", "FAILED") for one in statuses] == [False] * (len(events) - 1) + [True]
    progress = [event["progress"] for _, event in events]
    assert progress == sorted(progress)
    assert any(0 < one < 1 for one in progress), "a worker that has to start first may take as long as the first pause"
    assert progress[-1] == 1


def test_a_job_that_has_ended_has_one_event(client: httpx.Client, hooks: Receiver) -> None:
    task_id = execute(client, f"{hooks.url}/ended", steps=1, step_seconds=0)
    state = poll(client, f"/api/tasks/{task_id}/state", is_over)

    assert [event for _, event in watch(client, task_id)] == [state]


def test_the_state_is_the_same_object_and_never_goes_backwards(client: httpx.Client, hooks: Receiver) -> None:
    task_id = execute(client, f"{hooks.url}/state", steps=4, step_seconds=0.3)
    seen: list[dict[str, Any]] = []

    def noted(state: dict[str, Any]) -> bool:
        seen.append(state)
        return is_over(state)

    poll(client, f"/api/tasks/{task_id}/state", noted)

    assert all(set(state) == {"task_id", "status", "progress", "message"} for state in seen)
    assert seen[0]["status"] in ("PENDING", "RUNNING")
    assert (seen[-1]["status"], seen[-1]["progress"]) == ("COMPLETED", 1)
    for before, after in itertools.pairwise(seen):
        assert STATUSES.index(before["status"]) <= STATUSES.index(after["status"])
        assert before["progress"] <= after["progress"]


@pytest.mark.parametrize("path", ["/api/tasks/nobody-knows-it", "/api/tasks/nobody-knows-it/state"])
def test_an_unknown_id_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert not answer.headers["content-type"].startswith("text/event-stream")


def test_the_callback_tells_a_completion(client: httpx.Client, hooks: Receiver) -> None:
    parameters = {"steps": 2, "step_seconds": 0.1, "region": "north"}
    task_id = execute(client, f"{hooks.url}/completed", "nightly report", **parameters)

    body = told(hooks, "/completed")

    assert set(body) == {"task_id", "status", "result", "error", "completed_at"}
    assert (body["task_id"], body["status"], body["error"]) == (task_id, "COMPLETED", None)
    assert set(body["result"]) == {"name", "parameters", "completed_at", "result_data"}
    assert (body["result"]["name"], body["result"]["parameters"]) == ("nightly report", parameters)
    assert body["result"]["result_data"] == {"steps": 2}
    assert body["result"]["completed_at"] == body["completed_at"]
    assert datetime.fromisoformat(body["completed_at"]).tzinfo


def test_the_callback_tells_a_failure(client: httpx.Client, hooks: Receiver) -> None:
    task_id = execute(client, f"{hooks.url}/failed", steps=3, step_seconds=0.1, fail_at=2)

    body = told(hooks, "/failed")

    assert set(body) == {"task_id", "status", "result", "error", "completed_at"}
    assert (body["task_id"], body["status"], body["result"]) == (task_id, "FAILED", None)
    assert datetime.fromisoformat(body["completed_at"]).tzinfo
    assert "Step 2 of 3 failed" in body["error"]
    state = client.get(f"/api/tasks/{task_id}/state").json()
    assert (state["status"], state["message"]) == ("FAILED", body["error"])
