"""What is no JSON that a task can be made of is refused; what only looks odd is taken."""

import json

import pytest

from tests.unit.api.conftest import Installation, the_problem


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
