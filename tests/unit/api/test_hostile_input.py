"""Nothing that a caller sends ends in a 5xx: odd addresses, methods and headers, and bodies made at random."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.conftest import Installation, an_installation, the_problem


@pytest.mark.parametrize("path", ["", "/payload", "/result"])
@pytest.mark.parametrize(
    "task_id", ["nope", "x" * 129, "x" * 5000, "%00", "%0d%0a", "%ff", "ü", "..", "%20", "%E2%80%AE", "a b"]
)
def test_an_odd_id_is_no_task(api: Installation, task_id: str, path: str) -> None:
    the_problem(api.client.get(f"/v1/tasks/{task_id}{path}"), 404, "not-found" if task_id == ".." else "task-not-found")


@pytest.mark.parametrize("path", ["/v1/tasks/", "/v1/tasks//payload", "/v1", "/nope", "/v1/tasks/a/b/c", "/%00"])
def test_an_unknown_address_is_a_problem(api: Installation, path: str) -> None:
    the_problem(api.client.get(path), 404, "not-found")


def test_a_wrong_method_is_a_problem_that_names_the_right_one(api: Installation) -> None:
    response = api.client.request("PUT", "/v1/tasks", json={})

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("wait", ["-1", "20.1", "nan", "inf", "x", "", "1e99"])
def test_a_wrong_wait_is_a_problem(api: Installation, wait: str) -> None:
    task_id = api.submitted()

    problem = the_problem(api.client.get(f"/v1/tasks/{task_id}", params={"wait": wait}), 400, "invalid-parameter")

    assert problem["detail"].startswith("wait (query): Input should be ")
    assert problem["detail"].endswith(".")
    assert not problem["detail"].endswith("..")


TEXT = st.text(st.characters(), max_size=20)  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = ("type", "payload", "priority", "tenant", "delay_seconds", "run_at", "expires_at", "callback_url", "labels")
CALLBACKS = ("callback_events", "callback_give_up_on_4xx")
BODIES = st.fixed_dictionaries(
    {"type": st.just("echo") | JSON}, optional={name: JSON for name in (*NAMES, *CALLBACKS) if name != "type"}
).map(json.dumps)


@pytest.fixture(scope="module")
def lasting_api() -> Iterator[Installation]:
    with an_installation() as installation:
        yield installation


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=60) | JSON.map(json.dumps) | BODIES)
def test_no_body_ends_in_a_server_error(lasting_api: Installation, content: bytes | str) -> None:
    response = lasting_api.post(content)

    assert response.status_code < 500
    assert response.status_code == 202 or response.json()["detail"]


HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=300)


@settings(max_examples=60, deadline=None)
@given(HEADER_VALUES, HEADER_VALUES, HEADER_VALUES)
def test_no_header_ends_in_a_server_error(lasting_api: Installation, key: str, correlation_id: str, tags: str) -> None:
    headers = {"idempotency-key": key, "x-correlation-id": correlation_id, "if-none-match": tags}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    posted = lasting_api.client.post("/v1/tasks", json={"type": "echo"}, headers=encoded)
    got = lasting_api.client.get("/v1/tasks/nope", headers=encoded)

    assert posted.status_code in (200, 202, 400)
    assert got.status_code == 404
