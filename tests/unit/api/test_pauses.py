"""Pausing and resuming over HTTP."""

import pytest

from tests.unit.api.conftest import Installation


@pytest.mark.parametrize(
    ("path", "target"), [("/v1/lanes/3", "lane:3"), ("/v1/task-types/echo", "type:echo"), ("/v1/lanes/5", "lane:5")]
)
def test_a_pause_begins_and_ends(api: Installation, path: str, target: str) -> None:
    paused = api.client.post(f"{path}/pause")
    assert paused.status_code == 200
    assert paused.json() == {"target": target, "paused_since": "2025-06-15T15:06:40.000Z"}
    assert api.client.post(f"{path}/pause").json() == paused.json()

    resumed = api.client.post(f"{path}/resume")
    assert (resumed.status_code, resumed.json()) == (200, {"target": target, "released": 0, "more": False})


def test_what_is_paused_is_listed(api: Installation) -> None:
    assert api.client.get("/v1/pauses").json() == {"pauses": []}
    for path in ("/v1/task-types/echo", "/v1/lanes/3", "/v1/lanes/5"):
        api.client.post(f"{path}/pause")
    api.client.post("/v1/lanes/5/resume")

    since = "2025-06-15T15:06:40.000Z"
    expected = [{"target": "lane:3", "paused_since": since}, {"target": "type:echo", "paused_since": since}]
    assert api.client.get("/v1/pauses").json() == {"pauses": expected}


def test_a_held_task_says_what_holds_it(api: Installation) -> None:
    api.client.post("/v1/lanes/3/pause")
    task_id = api.client.post("/v1/tasks", json={"type": "echo", "payload": {}}).json()["id"]
    api.work()

    task = api.client.get(f"/v1/tasks/{task_id}").json()
    assert (task["status"], task["held_by"]) == ("pending", "pause:lane:3")

    assert api.client.post("/v1/lanes/3/resume").json()["released"] == 1
    api.clock.advance(5)
    api.work()
    task = api.client.get(f"/v1/tasks/{task_id}").json()
    assert (task["status"], task["held_by"]) == ("completed", None)


@pytest.mark.parametrize("word", ["pause", "resume"])
def test_what_is_not_there_cannot_be_paused(api: Installation, word: str) -> None:
    for lane in ("0", "6", "high", "3.5"):
        answer = api.client.post(f"/v1/lanes/{lane}/{word}")
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:tasklane:problem:invalid-parameter")
    answer = api.client.post(f"/v1/task-types/nobody/{word}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:tasklane:problem:task-type-not-found")
