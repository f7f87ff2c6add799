"""Nothing that a caller sends ends in a 5xx; what is wrong is named, with a pointer to it."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.conftest import Installation, an_installation, the_problem

LIMIT = 5 * 1024 * 1024


def nested(levels: int) -> str:
    return '{"type":"echo","payload":{"a":' + "[" * (levels - 2) + "]" * (levels - 2) + "}}"


MALFORMED: list[tuple[str, str | bytes, str | None]] = [
    ("empty", b"", None),
    ("cut off", '{"type":"echo"', None),
    ("a comma too many", '{"type":"echo",}', None),
    ("single quotes", "{'type':'echo'}", None),
    ("two documents", '{"type":"echo"}{}', None),
    ("a raw control character", '{"type":"ec\x01ho"}', None),
    ("a byte order mark", b'\xef\xbb\xbf{"type":"echo"}', None),
    ("not UTF-8", b'{"type":"echo","payload":{"a":"\xff"}}', None),
    ("UTF-16", '{"type":"echo"}'.encode("utf-16"), None),
    ("UTF-8 that spells a surrogate", b'{"type":"echo","payload":{"a":"\xed\xa0\x80"}}', None),
    ("a hundred levels", nested(100), None),
    ("a million levels", "[" * 1_000_000, None),
    ("a million levels inside", '{"type":"echo","payload":' + '{"a":' * 1_000_000, None),
    ("an unterminated string of quotes", '{"a":"' + "[[" * 100 + '\\"' * 500_000, None),
    ("a hundred and one fields", json.dumps({f"f{i}": i for i in range(101)}), None),
    ("half a million fields", json.dumps({f"f{i}": 0 for i in range(300_000)}), None),
    ("NaN", '{"type":"echo","payload":{"a":NaN}}', "/payload/a"),
    ("Infinity", '{"type":"echo","payload":{"a":[1,-Infinity]}}', "/payload/a/1"),
    ("NaN alone", "NaN", ""),
    ("a float beyond a double", '{"type":"echo","payload":{"a":1e999}}', "/payload/a"),
    ("an integer beyond a double", '{"type":"echo","payload":{"a":' + "9" * 400 + "}}", "/payload/a"),
    ("an integer of 5,000 digits", '{"type":"echo","priority":' + "1" * 5_000 + "}", "/priority"),
    ("a negative one", '{"type":"echo","payload":{"a":-' + "1" * 5_000 + "}}", "/payload/a"),
    ("an integer of a million digits", '{"type":"echo","payload":{"a":' + "1" * 1_000_000 + "}}", "/payload/a"),
    ("a doubled key", '{"type":"echo","type":"count"}', "/type"),
    ("a doubled key inside", '{"type":"echo","payload":{"a":[{"b":1,"b":1}]}}', "/payload/a/0/b"),
    ("a doubled key, once escaped", '{"type":"echo","payload":{"a":1,"\\u0061":2}}', "/payload/a"),
    ("a lone surrogate", r'{"type":"echo","payload":{"a":"\ud800"}}', "/payload/a"),
    ("a lone low surrogate", r'{"type":"echo","payload":{"a":"x\uDFFFy"}}', "/payload/a"),
    ("a lone surrogate in a name", r'{"type":"\ud800"}', "/type"),
    ("a lone surrogate in a key", r'{"type":"echo","payload":{"x\ud83d":1}}', "/payload/x?"),
    ("a lone surrogate in a label", r'{"type":"echo","labels":{"k\udfff":"v"}}', "/labels/k?"),
    ("an escaped pointer", '{"type":"echo","payload":{"a/b~c":NaN}}', "/payload/a~1b~0c"),
]


@pytest.mark.parametrize(("content", "pointer"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_what_is_no_strict_json_is_refused(api: Installation, content: str | bytes, pointer: str | None) -> None:
    problem = the_problem(api.post(content), 400, "invalid-json")

    assert [error["pointer"] for error in problem.get("errors", [])] == ([] if pointer is None else [pointer])


HOOK = {"callback_url": "https://hooks.example.com/"}
FIELDS: list[tuple[str, Any, str]] = [
    ("no object", [], ""),
    ("null", None, ""),
    ("a string", "echo", ""),
    ("no type", {}, "/type"),
    ("an unknown field", {"type": "echo", "prio": 3}, "/prio"),
    ("an unknown field with odd characters", {"type": "echo", "a/b\n~": 3}, "/a~1b\n~0"),
    ("a type that is a number", {"type": 3}, "/type"),
    ("an empty type", {"type": ""}, "/type"),
    ("an overlong type", {"type": "x" * 129}, "/type"),
    ("a control character in the type", {"type": "ec\x00ho"}, "/type"),
    ("a newline in the type", {"type": "echo\n"}, "/type"),
    ("a zero-width space in the type", {"type": "ec\u200bho"}, "/type"),
    ("a payload that is a list", {"type": "echo", "payload": []}, "/payload"),
    ("a payload that is null", {"type": "echo", "payload": None}, "/payload"),
    ("priority 0", {"type": "echo", "priority": 0}, "/priority"),
    ("priority 6", {"type": "echo", "priority": 6}, "/priority"),
    ("a priority as text", {"type": "echo", "priority": "3"}, "/priority"),
    ("a priority that is true", {"type": "echo", "priority": True}, "/priority"),
    ("a priority with a fraction", {"type": "echo", "priority": 3.5}, "/priority"),
    ("a huge priority", {"type": "echo", "priority": 10**300}, "/priority"),
    ("an empty tenant", {"type": "echo", "tenant": ""}, "/tenant"),
    ("a tenant with a control character", {"type": "echo", "tenant": "a\x7f"}, "/tenant"),
    ("a tenant with a blank", {"type": "echo", "tenant": "a b"}, "/tenant"),
    ("a tenant that no queue takes", {"type": "echo", "tenant": "größe"}, "/tenant"),
    ("an overlong tenant", {"type": "echo", "tenant": "x" * 129}, "/tenant"),
    ("a negative delay", {"type": "echo", "delay_seconds": -1}, "/delay_seconds"),
    ("a delay of a fraction", {"type": "echo", "delay_seconds": 1.5}, "/delay_seconds"),
    ("a delay over a year", {"type": "echo", "delay_seconds": 366 * 86_400 + 1}, "/delay_seconds"),
    ("delay and time", {"type": "echo", "delay_seconds": 5, "run_at": "2025-06-16T00:00:00Z"}, "/run_at"),
    ("a time without offset", {"type": "echo", "run_at": "2025-06-16T00:00:00"}, "/run_at"),
    ("a date", {"type": "echo", "run_at": "2025-06-16"}, "/run_at"),
    ("a time as a number", {"type": "echo", "run_at": 1_750_000_000}, "/run_at"),
    ("a time that is none", {"type": "echo", "run_at": "2025-02-30T00:00:00Z"}, "/run_at"),
    ("a time in other digits", {"type": "echo", "run_at": "٢٠٢٥-06-16T00:00:00Z"}, "/run_at"),
    ("a time over a year off", {"type": "echo", "run_at": "2099-01-01T00:00:00Z"}, "/run_at"),
    ("a time before computers", {"type": "echo", "run_at": "0001-01-01T00:00:00+23:59"}, "/run_at"),
    ("the end of time", {"type": "echo", "expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
    ("expired already", {"type": "echo", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    (
        "expired before its start",
        {"type": "echo", "delay_seconds": 60, "expires_at": "2025-06-15T15:06:50Z"},
        "/expires_at",
    ),
    ("no URL", {"type": "echo", "callback_url": "nonsense"}, "/callback_url"),
    ("an empty URL", {"type": "echo", "callback_url": ""}, "/callback_url"),
    ("a URL without host", {"type": "echo", "callback_url": "http://"}, "/callback_url"),
    ("a file URL", {"type": "echo", "callback_url": "file:///etc/passwd"}, "/callback_url"),
    ("a URL with credentials", {"type": "echo", "callback_url": "https://me:secret@example.com/"}, "/callback_url"),
    ("a URL with a newline", {"type": "echo", "callback_url": "http://exa\nmple.com/"}, "/callback_url"),
    ("a URL with a NUL", {"type": "echo", "callback_url": "http://example.com/\x00"}, "/callback_url"),
    ("an overlong URL", {"type": "echo", "callback_url": f"https://example.com/{'x' * 2048}"}, "/callback_url"),
    ("a URL overlong in ASCII", {"type": "echo", "callback_url": f"https://example.com/{'ü' * 600}"}, "/callback_url"),
    ("an event that is none", {"type": "echo", **HOOK, "callback_events": ["completed"]}, "/callback_events/0"),
    ("an event that is a list", {"type": "echo", **HOOK, "callback_events": [["running"]]}, "/callback_events/0"),
    ("an event twice", {"type": "echo", **HOOK, "callback_events": ["running", "running"]}, "/callback_events"),
    ("too many events", {"type": "echo", **HOOK, "callback_events": ["running"] * 3}, "/callback_events"),
    ("events that are a word", {"type": "echo", **HOOK, "callback_events": "running"}, "/callback_events"),
    ("strictness as a word", {"type": "echo", **HOOK, "callback_give_up_on_4xx": "yes"}, "/callback_give_up_on_4xx"),
    ("strictness with nobody", {"type": "echo", "callback_give_up_on_4xx": True}, "/callback_give_up_on_4xx"),
    ("events for nobody", {"type": "echo", "callback_events": ["running"]}, "/callback_events"),
    ("no attempts", {"type": "echo", "max_attempts": 0}, "/max_attempts"),
    ("too many attempts", {"type": "echo", "max_attempts": 101}, "/max_attempts"),
    ("a timeout of 0", {"type": "echo", "timeout_seconds": 0}, "/timeout_seconds"),
    ("a timeout no Lambda has", {"type": "echo", "timeout_seconds": 901}, "/timeout_seconds"),
    ("labels that are a list", {"type": "echo", "labels": []}, "/labels"),
    ("too many labels", {"type": "echo", "labels": {f"k{i}": "" for i in range(21)}}, "/labels"),
    ("a label that is a number", {"type": "echo", "labels": {"k": 1}}, "/labels/k"),
    ("an overlong label", {"type": "echo", "labels": {"k": "v" * 257}}, "/labels/k"),
    ("an overlong label key", {"type": "echo", "labels": {"k" * 65: "v"}}, "/labels/" + "k" * 65),
    ("an empty label key", {"type": "echo", "labels": {"": "v"}}, "/labels/"),
    ("a control character in a label key", {"type": "echo", "labels": {"a\tb": "v"}}, "/labels/a\tb"),
    ("half a million labels", {"type": "echo", "labels": {f"k{i}": 0 for i in range(300_000)}}, "/labels"),
]


@pytest.mark.parametrize(("body", "pointer"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS])
def test_a_wrong_field_is_pointed_at(api: Installation, body: Any, pointer: str) -> None:
    problem = the_problem(api.submit(body) if body is not None else api.post("null"), 422, "invalid-request")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"]


def test_every_wrong_field_is_pointed_at(api: Installation) -> None:
    problem = the_problem(api.submit({"type": "", "priority": 9, "colour": "red"}), 422, "invalid-request")

    assert {error["pointer"] for error in problem["errors"]} == {"/type", "/priority", "/colour"}
    assert problem["detail"] == "3 fields of the body are wrong."


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [({"n": 101}, "/payload/n"), ({"n": "3"}, "/payload/n"), ({}, "/payload/n"), ({"n": 1, "a/b": 2}, "/payload/a~1b")],
)
def test_a_payload_is_checked_against_the_handlers_model(api: Installation, payload: Any, pointer: str) -> None:
    problem = the_problem(api.submit({"type": "count", "payload": payload}), 422, "invalid-payload")

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_payload_with_countless_errors_names_a_few(api: Installation) -> None:
    payload = {f"k{i}": 0 for i in range(100_000)}

    problem = the_problem(api.submit({"type": "count", "payload": payload}), 422, "invalid-payload")

    assert 1 <= len(problem["errors"]) <= 20


def test_an_unknown_type_is_told_the_known_ones(api: Installation) -> None:
    problem = the_problem(api.submit({"type": "ecco"}), 422, "unknown-task-type")

    assert problem["errors"] == [{"pointer": "/type", "detail": "Known task types: count, echo, resize."}]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "json",
        ";",
        "a" * 9999,
    ],
)
def test_a_body_that_is_not_declared_as_json_is_refused(api: Installation, content_type: str) -> None:
    response = api.client.post("/v1/tasks", content=b'{"type":"echo"}', headers={"content-type": content_type})

    the_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.tasks+json;v=1"]
)
def test_json_by_any_of_its_names_is_taken(api: Installation, content_type: str) -> None:
    response = api.client.post("/v1/tasks", content=b'{"type":"echo"}', headers={"content-type": content_type})

    assert response.status_code == 202


def test_ninety_nine_levels_are_taken(api: Installation) -> None:
    assert api.post(nested(99)).status_code == 202


def test_brackets_in_strings_are_no_nesting(api: Installation) -> None:
    assert api.submit({"type": "echo", "payload": {"a": '[{"\\' * 1000}}).status_code == 202


def test_surrogate_pairs_are_unicode(api: Installation) -> None:
    response = api.post(r'{"type":"echo","payload":{"\ud83d\ude00":"\ud83d\ude00"}}')

    assert response.json()["payload"] == {"😀": "😀"}


def test_large_numbers_that_fit_are_taken(api: Installation) -> None:
    number = 10**308

    assert api.submit({"type": "echo", "payload": {"a": number, "b": -1.7e308}}).json()["payload"]["a"] == number


def a_body_with_a_payload_of(size: int) -> bytes:
    return b'{"type": "echo", "payload": {"a": "' + b"x" * (size - len('{"a":""}')) + b'"}}'


def test_a_payload_of_five_mebibytes_is_taken(api: Installation) -> None:
    response = api.post(a_body_with_a_payload_of(LIMIT))

    assert response.status_code == 202
    assert len(response.json()["payload"]["a"]) == LIMIT - 8


def test_a_larger_payload_is_told_the_limit(api: Installation) -> None:
    problem = the_problem(api.post(a_body_with_a_payload_of(LIMIT + 1)), 413, "too-large")

    assert str(LIMIT) in problem["detail"]
    assert [error["pointer"] for error in problem["errors"]] == ["/payload"]


def test_a_larger_body_is_told_the_limit(api: Installation) -> None:
    problem = the_problem(api.post(a_body_with_a_payload_of(LIMIT + 70_000)), 413, "too-large")

    assert str(LIMIT + 65_536) in problem["detail"]


@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "nonsense"}])
def test_reading_stops_with_the_excess_whatever_length_was_declared(api: Installation, headers: dict[str, str]) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b" " * 1_000_000

    headers = {"content-type": "application/json", "transfer-encoding": "chunked"} | headers
    response = api.client.post("/v1/tasks", content=endless(), headers=headers)

    the_problem(response, 413, "too-large")
    assert sent == 22, "megabytes read, four times the limit of a little over five, so that the client hears of it"


def test_a_declared_length_over_the_limit_is_refused_unread(api: Installation) -> None:
    response = api.post(b"{}", **{"content-length": "9" * 30})

    the_problem(response, 413, "too-large")


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
