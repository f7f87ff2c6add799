"""The server is patient with slow clients, but not for ever."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from infra import http_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SHORT = 0.3
LONG = 30.0
LARGE = b"x" * 40_000_000


class App:
    """Answers what it read of a body, or, at /large, more than a connection takes at once."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append("disconnect")
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = LARGE if scope["path"] == "/large" else str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.seen.append("answered")


@pytest.fixture
def app() -> App:
    return App()


@contextmanager
def serving(app: App) -> Iterator[int]:
    """The app on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = http_server.configured(lambda: app, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the limits; those that are not named are long."""

    def set_to(**seconds: float) -> None:
        for name in ("header", "body", "answer"):
            monkeypatch.setattr(http_server, f"{name.upper()}_SECONDS", seconds.get(name, LONG))

    return set_to


def is_hung_up_on(client: socket.socket) -> bool:
    """Whether the server closes the connection in time."""
    client.settimeout(LONG / 2)
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def answer(client: socket.socket) -> bytes:
    """The body of the next answer, which is one byte."""
    client.settimeout(LONG)
    received = b""
    while not (match := re.search(rb"content-length: (\d+)\r\n\r\n(.*)", received, re.DOTALL)) or not match[2]:
        received += client.recv(65_536)
    return match[2]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: here\r\n", b"GET"])
def test_who_does_not_end_the_headers_is_hung_up_on(app: App, limits: Callable[..., None], sent: bytes) -> None:
    limits(header=SHORT)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent)

        assert is_hung_up_on(client)
    assert app.seen == []


def test_dripping_headers_wins_no_time(app: App, limits: Callable[..., None]) -> None:
    limits(header=SHORT)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX-Drip: ")

        def refuses() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return False

        wait_for(refuses)


def test_who_does_not_end_the_body_is_hung_up_on(app: App, limits: Callable[..., None]) -> None:
    limits(body=SHORT)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nfive!")

        assert is_hung_up_on(client)
        wait_for(lambda: app.seen == ["disconnect"])


def test_who_does_not_read_the_answer_is_hung_up_on(app: App, limits: Callable[..., None]) -> None:
    limits(answer=SHORT)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        wait_for(lambda: app.seen)
        time.sleep(3 * SHORT)  # this is what it is about: not reading

        received = 0
        client.settimeout(LONG / 2)
        try:
            while part := client.recv(65_536):
                received += len(part)
        except ConnectionResetError:
            pass
        assert received < len(LARGE)


def test_a_slow_request_in_time_and_the_next_ones_are_answered(app: App, limits: Callable[..., None]) -> None:
    limits()
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        for part in (b"POST / HTTP/1.1\r\nHost: here\r\n", b"Content-Length: 5\r\n\r\n", b"fi", b"ve!"):
            client.sendall(part)
        assert answer(client) == b"5"
        for _ in range(2):
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert answer(client) == b"0"


def test_a_connection_that_is_kept_is_not_cut_in_its_next_request(app: App, limits: Callable[..., None]) -> None:
    limits(header=SHORT)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        until = time.monotonic() + 3 * SHORT
        while time.monotonic() < until:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert answer(client) == b"0"


def test_the_server_may_have_many_connections(app: App, limits: Callable[..., None]) -> None:
    limits()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        http_server.configured(lambda: app)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(http_server.MOST_FILES, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
