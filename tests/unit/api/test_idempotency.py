"""``POST /v1/tasks`` with an Idempotency-Key: the same request makes one task."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.unit.api.conftest import Installation, the_problem


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
