"""``POST /v1/tasks``."""

from typing import Any

import pytest

from api.views import TaskView
from tasklane.task import Status
from tests.unit.api.conftest import Installation, the_problem


def test_a_task_is_accepted_kept_and_sent(api: Installation) -> None:
    response = api.submit({"type": "count", "payload": {"n": 10}})

    assert response.status_code == 202
    task = response.json()
    assert response.headers["location"] == f"/v1/tasks/{task['id']}"
    assert response.headers["etag"] == api.client.get(f"/v1/tasks/{task['id']}").headers["etag"]
    assert (task["status"], task["type"], task["payload"], task["result"]) == ("pending", "count", {"n": 10}, None)
    assert api.store.get([task["id"]])[task["id"]].status is Status.PENDING
    assert api.queues.depth(2) == 1, "the lane of its type's priority"


def test_what_the_type_says_holds_where_the_caller_says_nothing(api: Installation) -> None:
    task = api.submit({"type": "count", "payload": {"n": 1}}).json()

    assert (task["priority"], task["timeout_seconds"], task["max_attempts"]) == (2, 30, 5)
    assert (task["tenant"], task["labels"], task["callback"]) == ("default", {}, None)


def test_what_the_caller_says_holds(api: Installation) -> None:
    wanted = {
        "type": "count",
        "payload": {"n": 1},
        "priority": 5,
        "tenant": "acme",
        "delay_seconds": 60,
        "expires_at": "2025-06-16T02:00:00.25+02:00",
        "callback_url": "https://bücher.example/hook?id=ü",
        "max_attempts": 1,
        "timeout_seconds": 900,
        "labels": {"order id": "4711 ü"},
    }

    task = api.submit(wanted).json()

    same = ("type", "payload", "priority", "tenant", "max_attempts", "timeout_seconds", "labels")
    assert {name: task[name] for name in same} == {name: wanted[name] for name in same}
    assert task["status"] == "scheduled"
    assert (task["run_at"], task["expires_at"]) == ("2025-06-15T15:07:40.000Z", "2025-06-16T00:00:00.250Z")
    assert task["callback"]["url"] == "https://xn--bcher-kva.example/hook?id=%C3%BC"
    assert task["callback"]["state"] == "waiting"


@pytest.mark.parametrize("events", [["running", "progress"], ["progress"], [], None])
def test_a_caller_says_what_is_to_be_told_besides_the_end(api: Installation, events: list[str] | None) -> None:
    url = "https://hooks.example.com/"

    response = api.submit({"type": "echo", "callback_url": url, "callback_events": events})

    view = TaskView.model_validate_json(response.content)
    assert view.callback is not None
    assert view.callback.events == (events or [])


def test_an_integer_may_be_written_with_a_fraction_of_zero(api: Installation) -> None:
    response = api.post('{"type": "echo", "payload": {"a": 1.0}, "priority": 4.0, "max_attempts": 2e0}')

    assert response.status_code == 202
    assert (response.json()["priority"], response.json()["max_attempts"]) == (4, 2)
    assert '"payload":{"a":1.0}' in response.text, "a payload stays as it was written"


@pytest.mark.parametrize("strict", [True, False, None])
def test_a_caller_says_whether_a_4xx_ends_its_callback(api: Installation, strict: Any) -> None:
    response = api.submit(
        {"type": "echo", "callback_url": "https://hooks.example.com/", "callback_give_up_on_4xx": strict}
    )

    view = TaskView.model_validate_json(response.content)
    assert view.callback is not None
    assert view.callback.give_up_on_4xx is strict


def test_null_is_as_good_as_nothing(api: Installation) -> None:
    nothing = dict.fromkeys(("priority", "delay_seconds", "run_at", "expires_at", "callback_url", "callback_events"))

    assert api.submit({"type": "count", "payload": {"n": 1}} | nothing).json()["priority"] == 2


@pytest.mark.parametrize("run_at", ["2025-06-15T16:00:00Z", "2025-06-15t18:00:00.000000000+02:00"])
def test_a_task_may_wait_for_its_time(api: Installation, run_at: str) -> None:
    task = api.submit({"type": "echo", "run_at": run_at}).json()

    assert (task["status"], task["run_at"]) == ("scheduled", "2025-06-15T16:00:00.000Z")


def test_a_time_gone_by_is_at_once(api: Installation) -> None:
    assert api.submit({"type": "echo", "run_at": "1999-12-31T23:59:59Z"}).json()["status"] == "pending"


def test_a_task_for_external_workers_is_kept_and_not_sent(api: Installation) -> None:
    assert api.submit({"type": "resize", "payload": {"anything": []}}).status_code == 202
    assert api.submit({"type": "resize", "payload": ["photo.jpg", 640]}).json()["payload"] == ["photo.jpg", 640]
    assert api.queues.depth(3) == 0


def test_the_answer_has_the_documented_shape(api: Installation) -> None:
    view = TaskView.model_validate_json(api.submit({"type": "echo", "callback_url": "https://a.example"}).content)

    assert view.status == "pending"


@pytest.mark.parametrize(
    "retry",
    [
        {"pauses": [10, 60.5, 0]},
        {"pauses": [366 * 86_400], "max_age_seconds": 86_400},
        {"base_seconds": 1.5},
        {"cap_seconds": 20},
        {"base_seconds": 0, "cap_seconds": 20, "max_age_seconds": 0.5},
        {"max_age_seconds": 60},
        {"retry_on": ["OSError", "ShopClosed"], "no_retry_on": ["FileNotFoundError"]},
    ],
)
def test_a_task_may_have_a_retry_policy_of_its_own(api: Installation, retry: dict[str, Any]) -> None:
    response = api.submit({"type": "echo", "retry": retry | {"base_seconds": retry.get("base_seconds")}})

    assert response.status_code == 202, response.text
    assert response.json()["retry"] == retry
    assert api.store.get([response.json()["id"]])[response.json()["id"]].retry == retry


@pytest.mark.parametrize("retry", [None, {}, {"pauses": None, "max_age_seconds": None}])
def test_a_policy_that_changes_nothing_is_none(api: Installation, retry: Any) -> None:
    assert api.submit({"type": "echo", "retry": retry}).json()["retry"] is None


@pytest.mark.parametrize(
    ("retry", "pointer"),
    [
        ([], "/retry"),
        ("exponential", "/retry"),
        ({"pauses": [1], "base_seconds": 1}, "/retry"),
        ({"pauses": [1], "cap_seconds": 1}, "/retry"),
        ({"pauses": []}, "/retry/pauses"),
        ({"pauses": [1] * 21}, "/retry/pauses"),
        ({"pauses": ["x"] * 100_000}, "/retry/pauses"),
        ({"pauses": 5}, "/retry/pauses"),
        ({"pauses": [1, -1]}, "/retry/pauses/1"),
        ({"pauses": [366 * 86_400 + 1]}, "/retry/pauses/0"),
        ({"pauses": [True]}, "/retry/pauses/0"),
        ({"pauses": ["1"]}, "/retry/pauses/0"),
        ({"pauses": [None]}, "/retry/pauses/0"),
        ({"base_seconds": -0.1}, "/retry/base_seconds"),
        ({"cap_seconds": 1e300}, "/retry/cap_seconds"),
        ({"max_age_seconds": "1"}, "/retry/max_age_seconds"),
        ({"retry_on": "OSError"}, "/retry/retry_on"),
        ({"retry_on": []}, "/retry/retry_on"),
        ({"retry_on": ["OSError"] * 21}, "/retry/retry_on"),
        ({"no_retry_on": [5]}, "/retry/no_retry_on/0"),
        ({"no_retry_on": [""]}, "/retry/no_retry_on/0"),
        ({"max_attempts": 3}, "/retry/max_attempts"),
        ({str(number): 1 for number in range(100_000)}, "/retry"),
    ],
)
def test_a_wrong_retry_policy_is_pointed_at(api: Installation, retry: Any, pointer: str) -> None:
    problem = the_problem(api.submit({"type": "echo", "retry": retry}), 422, "invalid-request")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]
