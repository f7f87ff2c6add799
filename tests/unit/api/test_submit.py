"""``POST /v1/tasks``."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.views import TaskView
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.task import Status, Task
from tests.unit.api.conftest import Installation, an_installation, the_problem


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
    assert api.queues.depth(3) == 0


def test_the_answer_has_the_documented_shape(api: Installation) -> None:
    view = TaskView.model_validate_json(api.submit({"type": "echo", "callback_url": "https://a.example"}).content)

    assert view.status == "pending"


@pytest.mark.parametrize(
    "retry",
    [
        {"pauses": [10, 60.5, 0]},
        {"pauses": [31_536_000], "max_age_seconds": 86_400},
        {"base_seconds": 1.5},
        {"cap_seconds": 20},
        {"base_seconds": 0, "cap_seconds": 20, "max_age_seconds": 0.5},
        {"max_age_seconds": 60},
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
        ({"pauses": [31_536_001]}, "/retry/pauses/0"),
        ({"pauses": [True]}, "/retry/pauses/0"),
        ({"pauses": ["1"]}, "/retry/pauses/0"),
        ({"pauses": [None]}, "/retry/pauses/0"),
        ({"base_seconds": -0.1}, "/retry/base_seconds"),
        ({"cap_seconds": 1e300}, "/retry/cap_seconds"),
        ({"max_age_seconds": "1"}, "/retry/max_age_seconds"),
        ({"max_attempts": 3}, "/retry/max_attempts"),
        ({str(number): 1 for number in range(100_000)}, "/retry"),
    ],
)
def test_a_wrong_retry_policy_is_pointed_at(api: Installation, retry: Any, pointer: str) -> None:
    problem = the_problem(api.submit({"type": "echo", "retry": retry}), 422, "invalid-request")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


# -- idempotency -------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_same_task(api: Installation) -> None:
    first = api.post('{"type":"echo","payload":{"a":1,"b":[2]}}', **{"idempotency-key": "k"})
    again = api.post('{ "payload": {"b": [2], "a": 1}, "type": "\\u0065cho" }', **{"idempotency-key": "k"})

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert api.queues.depth(3) == 1


def test_a_repetition_shows_what_became_of_the_task(api: Installation) -> None:
    api.submit({"type": "echo", "payload": {"a": 1}}, idempotency_key="k")
    api.work()

    task = api.submit({"type": "echo", "payload": {"a": 1}}, idempotency_key="k").json()

    assert (task["status"], task["result"]) == ("completed", {"a": 1})


def test_a_repetition_after_its_expiry_still_gets_its_task(api: Installation) -> None:
    body = {"type": "echo", "expires_at": "2025-06-15T15:10:00Z"}
    first = api.submit(body, idempotency_key="k")
    api.clock.advance(3600)

    again = api.submit(body, idempotency_key="k")

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    the_problem(api.submit(body), 422, "invalid-request")
    the_problem(api.submit(body | {"priority": 1}, idempotency_key="k"), 422, "invalid-request")


@pytest.mark.parametrize("other", [{"type": "echo", "payload": {"a": 2}}, {"type": "echo", "payload": {"a": True}}])
def test_the_same_key_with_another_body_is_refused(api: Installation, other: dict[str, Any]) -> None:
    first = api.submit({"type": "echo", "payload": {"a": 1}}, idempotency_key="k").json()

    problem = the_problem(api.submit(other, idempotency_key="k"), 422, "idempotency-conflict")

    assert first["id"] in problem["errors"][0]["detail"]


def test_the_same_key_of_another_tenant_is_another_key(api: Installation) -> None:
    ids = {api.submit({"type": "echo", "tenant": one}, idempotency_key="k").json()["id"] for one in ("a", "b")}

    assert len(ids) == 2


def test_without_a_key_every_request_makes_a_task(api: Installation) -> None:
    assert api.submitted() != api.submitted()


def test_a_large_payload_is_repeated_whole(api: Installation) -> None:
    body = {"type": "echo", "payload": {"a": "x" * 50_000}}

    answers = [api.submit(body, idempotency_key="k") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert [answer.json()["payload"] for answer in answers] == [body["payload"]] * 2


def test_of_twenty_at_once_one_makes_the_task(api: Installation) -> None:
    def post(_: int) -> httpx.Response:
        return api.submit({"type": "echo"}, idempotency_key="k")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert api.queues.depth(3) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "größe".encode("latin-1").decode("latin-1")])
def test_a_key_that_is_none_is_refused(api: Installation, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]

    problem = the_problem(
        api.client.post("/v1/tasks", json={"type": "echo"}, headers=headers), 400, "invalid-parameter"
    )

    assert "idempotency-key" in problem["detail"].lower()


def test_a_key_may_have_255_characters(api: Installation) -> None:
    assert api.submit(idempotency_key="k" * 255).status_code == 202


# -- correlation -------------------------------------------------------------------------------------------------------


def stored(api: Installation, response: httpx.Response) -> Task:
    task_id = response.json()["id"]
    return api.store.get([task_id])[task_id]


def test_the_callers_correlation_id_is_echoed_and_kept(api: Installation) -> None:
    response = api.submit(x_correlation_id="order-4711/a:b")

    assert response.headers["x-correlation-id"] == "order-4711/a:b"
    assert stored(api, response).correlation_id == "order-4711/a:b"


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "{}", "ü".encode().decode("latin-1")])
def test_an_id_that_is_no_sane_one_is_replaced(api: Installation, given: str) -> None:
    headers = [(b"x-correlation-id", given.encode("latin-1"))]

    response = api.client.post("/v1/tasks", json={"type": "echo"}, headers=headers)

    assert response.headers["x-correlation-id"] not in ("", given)
    assert stored(api, response).correlation_id is None


def test_every_answer_has_a_correlation_id_of_its_own(api: Installation) -> None:
    answers = [api.client.get(path) for path in ("/health", "/nope", "/v1/tasks/nope", "/openapi.json")]

    assert len({answer.headers["x-correlation-id"] for answer in answers}) == 4


# -- what is behind ----------------------------------------------------------------------------------------------------


class RefusingStore:
    """A table that refuses everything."""

    def put(self, tasks: list[Task]) -> list[Unavailable]:
        return [Unavailable("the table secret-table did not take the request") for _ in tasks]

    def get(self, task_ids: list[str]) -> dict[str, Task]:
        raise Unavailable("the table secret-table did not take the request")


class RefusingQueue:
    """A queue that refuses everything."""

    def send(self, messages: list[TaskMessage] | list[CallbackMessage]) -> list[Unavailable]:
        return [Unavailable("no") for _ in messages]


class BrokenStore:
    """A table whose adapter has a bug."""

    def put(self, tasks: list[Task]) -> list[Task]:
        raise ZeroDivisionError("secret-table")


def test_a_table_that_refuses_is_a_503_to_be_repeated() -> None:
    with an_installation(store=RefusingStore()) as api:
        for response in (api.submit(), api.client.get("/v1/tasks/some-id")):
            the_problem(response, 503, "unavailable")
            assert response.headers["retry-after"] == "2"
            assert "secret-table" not in response.text


def test_a_send_that_fails_does_not_lose_the_task() -> None:
    with an_installation(queue=RefusingQueue()) as api:
        assert api.submit().status_code == 202


def test_an_error_nobody_foresaw_leaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with an_installation(store=BrokenStore()) as api:
        response = api.submit(x_correlation_id="c-1")

    the_problem(response, 500, "internal-error")
    assert "secret-table" not in response.text
    assert "ZeroDivisionError" not in response.text
    assert "secret-table" in caplog.text
