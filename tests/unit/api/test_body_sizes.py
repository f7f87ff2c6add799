"""Bodies and payloads are taken up to their limits, and read no further."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.conftest import Installation, the_problem

LIMIT = 5 * 1024 * 1024


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
