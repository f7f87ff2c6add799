"""What is wrong with a body is named, with a pointer to it."""

from typing import Any

import pytest

from tests.unit.api.conftest import Installation, the_problem

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
    ("port 0", {"type": "echo", "callback_url": "https://example.com:0/"}, "/callback_url"),
    ("loopback", {"type": "echo", "callback_url": "http://127.0.0.1:8000/hook"}, "/callback_url"),
    ("loopback in decimal", {"type": "echo", "callback_url": "http://2130706433/"}, "/callback_url"),
    ("loopback in hexadecimal", {"type": "echo", "callback_url": "http://0x7f.1/"}, "/callback_url"),
    ("loopback in octal", {"type": "echo", "callback_url": "http://0177.0.0.1/"}, "/callback_url"),
    ("loopback in IPv6", {"type": "echo", "callback_url": "http://[::1]/"}, "/callback_url"),
    ("loopback inside IPv6", {"type": "echo", "callback_url": "http://[::ffff:127.0.0.1]/"}, "/callback_url"),
    ("a private address", {"type": "echo", "callback_url": "https://10.1.2.3/"}, "/callback_url"),
    ("the metadata service", {"type": "echo", "callback_url": "http://169.254.169.254/latest"}, "/callback_url"),
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


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "/v1/tasks", "/ /labels /retry"),
        ("PATCH", "/v1/tasks/x", "/"),
        ("POST", "/v1/tasks/remove", "/"),
        ("PUT", "/v1/limits/k", "/ /rate"),
        ("POST", "/v1/task-types", "/ /retry"),
        ("POST", "/v1/leases", "/"),
        ("POST", "/v1/leases/x/heartbeat", "/ /progress"),
        ("POST", "/v1/leases/x/complete", "/"),
        ("POST", "/v1/leases/x/fail", "/ /error"),
        ("POST", "/tasks/", "/input_data"),
        ("POST", "/tasks", "/payload"),
        ("POST", "/api/tasks", "/ /parameters"),
        ("POST", "/enqueue", "/"),
        ("POST", "/submit_result", "/"),
        ("POST", "/api/v1/task/greeting", "/"),
    ],
)
@pytest.mark.parametrize("wrong", ["boom", 3, ["boom"], True])
def test_what_must_be_an_object_is_named_so(
    api: Installation, method: str, path: str, fields: str, wrong: object
) -> None:
    for field in fields.split():
        name = field.removeprefix("/")
        response = api.client.request(method, path, json={name: wrong} if name else wrong)

        errors = the_problem(response, 422, "invalid-request")["errors"]

        assert {"pointer": field if name else "", "detail": "Must be a JSON object."} in errors


def test_no_problem_speaks_of_python(api: Installation) -> None:
    wrong = {
        "type": 3,
        "payload": "x",
        "callback_events": "x",
        "callback_give_up_on_4xx": 3,
        "callback_url": 3,
        "retry": {"pauses": []},
    }

    errors = the_problem(api.submit(wrong), 422, "invalid-request")["errors"]

    assert {error["pointer"]: error["detail"] for error in errors} == {
        "/type": "Must be a string.",
        "/payload": "Must be a JSON object or, for external workers, an array.",
        "/callback_events": "Must be a JSON array.",
        "/callback_give_up_on_4xx": "Must be true or false.",
        "/callback_url": "Must be a URL, as a string.",
        "/retry/pauses": "Must have at least 1 entry.",
    }


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


def test_an_array_is_no_payload_for_a_handler(api: Installation) -> None:
    problem = the_problem(api.submit({"type": "count", "payload": [1]}), 422, "invalid-payload")

    assert [error["pointer"] for error in problem["errors"]] == ["/payload"]


def test_a_payload_with_countless_errors_names_a_few(api: Installation) -> None:
    payload = {f"k{i}": 0 for i in range(100_000)}

    problem = the_problem(api.submit({"type": "count", "payload": payload}), 422, "invalid-payload")

    assert 1 <= len(problem["errors"]) <= 20


def test_an_unknown_type_is_told_the_known_ones(api: Installation) -> None:
    problem = the_problem(api.submit({"type": "ecco"}), 422, "unknown-task-type")

    (error,) = problem["errors"]
    assert error["pointer"] == "/type"
    assert error["detail"].startswith("Known task types: count, echo, resize. What is declared for external workers")
