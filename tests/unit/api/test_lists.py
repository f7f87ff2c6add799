"""The list of tasks and their removal, as callers see them."""

from typing import Any

import pytest

from api.views import RemovedView, TasksView
from tasklane.task import Status
from tests.support.builders import a_running_task, a_task
from tests.unit.api.conftest import Installation, the_problem


def listed(api: Installation, query: str = "") -> list[str]:
    """The ids of every page."""
    ids: list[str] = []
    cursor = ""
    while True:
        response = api.client.get(f"/v1/tasks?{query}{cursor}")
        assert response.status_code == 200, response.text
        page = TasksView.model_validate_json(response.content)
        ids += [task.id for task in page.tasks]
        if page.next_cursor is None:
            return ids
        cursor = f"&cursor={page.next_cursor}"


def submitted(api: Installation, count: int, **body: Any) -> list[str]:
    ids = []
    for _ in range(count):
        api.clock.advance(1)
        ids.append(api.submitted(**body))
    return ids


def test_there_are_no_tasks_at_first(api: Installation) -> None:
    assert api.client.get("/v1/tasks").json() == {"tasks": [], "next_cursor": None}


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_tasks_are_listed_page_by_page_in_either_order(api: Installation, limit: int) -> None:
    ids = submitted(api, 5)

    assert listed(api, f"limit={limit}") == ids[::-1]
    assert listed(api, f"limit={limit}&order=oldest") == ids


def test_an_entry_is_the_task_as_it_is_shown_alone(api: Installation) -> None:
    task_id = api.submitted(payload={"text": "naïve 🦊"}, labels={"order": "4711"})
    api.work()

    [entry] = api.client.get("/v1/tasks").json()["tasks"]

    assert entry == api.client.get(f"/v1/tasks/{task_id}").json()
    assert (entry["status"], entry["result"]) == ("completed", {"text": "naïve 🦊"})


def test_a_large_document_is_named_by_its_url(api: Installation) -> None:
    task_id = api.submitted(payload={"text": "x" * 10_000})

    [entry] = api.client.get("/v1/tasks").json()["tasks"]

    assert (entry["payload"], entry["payload_url"]) == (None, f"/v1/tasks/{task_id}/payload")


def test_tasks_are_found_by_status_type_and_label(api: Installation) -> None:
    [plain] = submitted(api, 1)
    [labelled] = submitted(api, 1, labels={"a:b": "c d"})
    [later] = submitted(api, 1, delay_seconds=60)
    [count] = submitted(api, 1, type="count", payload={"n": 1})
    api.client.post(f"/v1/tasks/{plain}/cancel")

    assert listed(api, "status=cancelled") == [plain]
    assert listed(api, "status=scheduled") == [later]
    assert listed(api, "status=pending&limit=1") == [count, labelled]
    assert listed(api, "type=count") == [count]
    assert listed(api, "label=a:b:c%20d") == [labelled]
    assert listed(api, "label=a:b:c&type=echo") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "order=best", "status=done", "type=", "label=x", "cursor=" + "a" * 301],
)
def test_a_wrong_parameter_is_named(api: Installation, query: str) -> None:
    problem = the_problem(api.client.get(f"/v1/tasks?{query}"), 400, "invalid-parameter")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize("cursor", ["nonsense", "e30", "WzEsMl0", "WyIxIiwiYSJd", "%00", "bnVsbA"])
def test_a_cursor_of_somebody_elses_is_refused(api: Installation, cursor: str) -> None:
    problem = the_problem(api.client.get(f"/v1/tasks?cursor={cursor}"), 400, "invalid-parameter")
    assert "cursor" in problem["detail"]


@pytest.mark.parametrize("other", ["/v1/tasks?order=oldest&", "/v1/tasks?status=failed&", "/v1/callbacks?"])
def test_a_cursor_is_good_for_its_own_list_only(api: Installation, other: str) -> None:
    submitted(api, 2)
    cursor = api.client.get("/v1/tasks?limit=1").json()["next_cursor"]

    problem = the_problem(api.client.get(f"{other}cursor={cursor}"), 400, "invalid-parameter")

    assert "another list" in problem["detail"]


# -- remove ------------------------------------------------------------------------------------------------------------


def test_tasks_are_removed_with_what_is_kept_for_them(api: Installation) -> None:
    ids = submitted(api, 3)

    response = api.client.post("/v1/tasks/remove", json={"ids": [ids[0], ids[2], ids[0], "unknown"]})

    assert response.status_code == 200
    assert RemovedView.model_validate_json(response.content) == RemovedView(removed=2, gone=1, left=[])
    assert listed(api) == [ids[1]]
    the_problem(api.client.get(f"/v1/tasks/{ids[0]}"), 404, "task-not-found")


def test_a_running_task_is_named_with_the_reason(api: Installation) -> None:
    running, failed = a_running_task(), a_task(status=Status.FAILED)
    api.store.put([running, failed])

    answer = api.client.post("/v1/tasks/remove", json={"ids": [running.id, failed.id]}).json()

    assert answer == {"removed": 1, "gone": 0, "left": [{"id": running.id, "status": "running", "reason": "running"}]}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/ids"),
        ({"ids": []}, "/ids"),
        ({"ids": [""]}, "/ids/0"),
        ({"ids": ["a", 1]}, "/ids/1"),
        ({"ids": ["x" * 129]}, "/ids/0"),
        ({"ids": ["ü"]}, "/ids/0"),
        ({"ids": "a"}, "/ids"),
        ({"ids": [str(n) for n in range(101)]}, "/ids"),
        ({"ids": ["a"], "oldest": 3}, "/oldest"),
    ],
)
def test_a_wrong_body_is_pointed_at(api: Installation, body: dict[str, Any], pointer: str) -> None:
    problem = the_problem(api.client.post("/v1/tasks/remove", json=body), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
