"""Limits over HTTP."""

from typing import Any

import pytest

from api.views import LimitsView, LimitView
from tests.unit.api.conftest import Installation, the_problem


def put(api: Installation, key: str, body: Any) -> Any:
    return api.client.request("PUT", f"/v1/limits/{key}", json=body)


def test_a_limit_is_set_seen_changed_and_removed(api: Installation) -> None:
    answer = put(api, "account:42", {"max_concurrent": 4, "rate": {"count": 20, "period_seconds": 1.5, "burst": 3}})
    limit = {
        "key": "account:42",
        "max_concurrent": 4,
        "rate": {"count": 20, "period_seconds": 1.5, "burst": 3},
        "in_use": 0,
    }
    assert (answer.status_code, answer.json()) == (200, limit)
    LimitView.model_validate_json(answer.content)
    assert api.client.get("/v1/limits/account:42").json() == limit

    assert put(api, "account:42", {"max_concurrent": 1}).json()["rate"] is None
    assert api.client.request("DELETE", "/v1/limits/account:42").status_code == 204
    assert api.client.request("DELETE", "/v1/limits/account:42").status_code == 204
    the_problem(api.client.get("/v1/limits/account:42"), 404, "limit-not-found")


def test_limits_are_listed_page_by_page(api: Installation) -> None:
    for key in ("c", "a", "b/with/slashes", "ä"):
        put(api, key, {"max_concurrent": 1})

    first = LimitsView.model_validate_json(api.client.get("/v1/limits?limit=3").content)
    second = api.client.get("/v1/limits", params={"limit": 3, "cursor": first.next_cursor or ""}).json()

    assert [limit.key for limit in first.limits] == ["a", "b/with/slashes", "c"]
    assert [limit["key"] for limit in second["limits"]] == ["ä"]
    assert second["next_cursor"] is None
    the_problem(api.client.get("/v1/limits?cursor=%00"), 400, "invalid-parameter")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"max_concurrent": None, "rate": None}, ""),
        ({"max_concurrent": -1}, "/max_concurrent"),
        ({"max_concurrent": 1.5}, "/max_concurrent"),
        ({"max_concurrent": 10**9}, "/max_concurrent"),
        ({"rate": {}}, "/rate/count"),
        ({"rate": {"count": 0}}, "/rate/count"),
        ({"rate": {"count": 1, "period_seconds": 0}}, "/rate/period_seconds"),
        ({"rate": {"count": 1, "burst": 0}}, "/rate/burst"),
        ({"rate": 20}, "/rate"),
        ({"max_concurent": 1}, "/max_concurent"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(api: Installation, body: Any, pointer: str) -> None:
    problem = the_problem(put(api, "a", body), 422, "invalid-request")

    assert pointer in [error["pointer"] for error in problem["errors"]]


def test_a_key_that_is_none_is_refused(api: Installation) -> None:
    the_problem(put(api, "x" * 201, {"max_concurrent": 1}), 400, "invalid-parameter")
    the_problem(put(api, "%0A", {"max_concurrent": 1}), 400, "invalid-parameter")


def test_a_task_is_held_by_its_limit_and_says_so(api: Installation) -> None:
    put(api, "a", {"max_concurrent": 0})
    task_id = api.submitted(throttle_keys=["a", "b"])
    api.work()

    task = api.client.get(f"/v1/tasks/{task_id}").json()
    assert (task["status"], task["held_by"], task["throttle_keys"]) == ("pending", "limit:a", ["a", "b"])
    put(api, "a", {"max_concurrent": 1})
    api.work()
    assert api.client.get(f"/v1/tasks/{task_id}").json()["status"] == "completed"


@pytest.mark.parametrize("keys", ["a", [""], ["x" * 201], ["\n"], [1], [f"k{n}" for n in range(11)]])
def test_keys_that_are_none_are_refused(api: Installation, keys: Any) -> None:
    problem = the_problem(api.submit({"type": "echo", "throttle_keys": keys}), 422, "invalid-request")

    assert problem["errors"][0]["pointer"].startswith("/throttle_keys")
