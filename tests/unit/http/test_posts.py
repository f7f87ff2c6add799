"""A callback's POST takes no longer than it may, whatever the receiver answers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import pytest

from infra.local.engine import free_port
from tasklane.adapters.http import CALLBACK_ANSWER_CAP, HttpClient
from tasklane.errors import Unavailable
from tests.support.receiver import OK, Connection, Receiver
from tests.unit.http.conftest import BODY, PATIENT, Slowness

# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_a_callback_arrives_as_it_was_posted(client: HttpClient, receiver: Receiver) -> None:
    receiver.always(b"HTTP/1.1 204 No Content\r\nX-Answer: Yes\r\n\r\n")

    response = client.post(f"{receiver.url}/hooks/a%20b?c=d#e", BODY, {"webhook-id": "m-1"}, PATIENT)

    assert (response.status_code, response.headers["x-answer"], response.body) == (204, "Yes", b"")
    (request,) = receiver.requests
    assert (request.line, request.body) == ("POST /hooks/a%20b?c=d HTTP/1.1", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "m-1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["user-agent"].startswith("tasklane/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_callback_follows_no_redirect(client: HttpClient, receiver: Receiver, status: int) -> None:
    receiver.always(f"HTTP/1.1 {status} Moved\r\nLocation: {receiver.url}/b\r\nContent-Length: 0\r\n\r\n".encode())

    assert client.post(f"{receiver.url}/a", BODY, {}, PATIENT).status_code == status
    assert len(receiver.requests) == 1


def test_proxy_variables_are_ignored(client: HttpClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)

    assert client.post(receiver.url, BODY, {}, PATIENT).status_code == 200


def test_of_an_endless_answer_only_the_beginning_is_read(client: HttpClient, receiver: Receiver) -> None:
    def endless(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    receiver.answer = endless

    response = client.post(receiver.url, BODY, {}, PATIENT)

    assert (response.status_code, response.body) == (200, b"x" * CALLBACK_ANSWER_CAP)


def test_a_receiver_that_says_nothing_is_unavailable(client: HttpClient, receiver: Receiver) -> None:
    receiver.answer = Connection.hang

    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.post(receiver.url, BODY, {}, 0.1)


def test_a_receiver_that_drips_its_headers_does_not_hold_the_function(
    client: HttpClient, receiver: Receiver, slowness: Slowness
) -> None:
    headers = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000 + b"\r\n\r\n"
    receiver.answer = lambda connection: slowness.drip(connection, headers)

    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.post(receiver.url, BODY, {}, 20)


def test_a_receiver_that_drips_its_body_has_answered(
    client: HttpClient, receiver: Receiver, slowness: Slowness
) -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        slowness.drip(connection, b"x" * 2000)

    receiver.answer = drip

    response = client.post(receiver.url, BODY, {}, 20)

    assert response.status_code == 200
    assert 0 < len(response.body) < 2000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
def test_an_answer_that_is_no_http_is_unavailable(client: HttpClient, receiver: Receiver, answer: bytes) -> None:
    def once(connection: Connection) -> None:
        connection.send(answer)
        raise ConnectionError

    receiver.answer = once

    with pytest.raises(Unavailable):
        client.post(receiver.url, BODY, {}, 2.0)


def test_https_needs_a_certificate_that_can_be_trusted(client: HttpClient, receiver: Receiver) -> None:
    with pytest.raises(Unavailable):
        client.post(receiver.url.replace("http", "https"), BODY, {}, 0.5)


def test_a_connection_is_used_again(client: HttpClient, receiver: Receiver) -> None:
    ports = set()

    def keep(connection: Connection) -> None:
        ports.add(connection._connection.getpeername()[1])
        connection.send(OK)

    receiver.answer = keep
    for _ in range(3):
        client.post(receiver.url, BODY, {}, PATIENT)

    assert len(ports) == 1


# -- downloads ---------------------------------------------------------------------------------------------------------


def test_the_first_requests_of_a_batch_share_one_pool_of_connections(
    client: HttpClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, made = threading.Barrier(10), []
    make_pool = httpcore.ConnectionPool

    def make_slowly(**options: Any) -> httpcore.ConnectionPool:
        made.append(options)
        time.sleep(0.05)  # as long as it takes where the certificates are not in memory yet
        return make_pool(**options)

    monkeypatch.setattr(httpcore, "ConnectionPool", make_slowly)

    def post(_: int) -> int:
        together.wait(PATIENT)
        return client.post(receiver.url, BODY, {}, PATIENT).status_code

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(post, range(10))) == [200] * 10
    assert len(made) == 1
