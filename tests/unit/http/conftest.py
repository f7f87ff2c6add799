"""What the tests of outbound HTTP share: a real server on 127.0.0.1, and clients that may or may not reach it."""

import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tasklane.adapters.http import HttpClient, OutboundGuard
from tests.support.receiver import Connection, Receiver, a_receiver

PATIENT = 10.0
BODY = b'{"a":1}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as running:
        yield running


@pytest.fixture
def client() -> Iterator[HttpClient]:
    """A client of the local run: loopback is allowed."""
    client = HttpClient(OutboundGuard(allow_loopback=True))
    yield client
    client.close()


@pytest.fixture
def strict() -> Iterator[HttpClient]:
    """A client as it is deployed."""
    client = HttpClient(OutboundGuard())
    yield client
    client.close()


class Slowness:
    """A clock on which a second passes whenever a client looks at it, and answers that come a byte a second.

    So it does not matter how fast this machine is. A client that looks no more still gets its bytes, and is found out.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._looks = threading.Semaphore(0)

    def monotonic(self) -> float:
        self._now += 1
        self._looks.release()
        return self._now

    def drip(self, connection: Connection, content: bytes) -> None:
        for byte in content:
            self._looks.acquire(timeout=0.02)
            connection.send(bytes([byte]))

    def end(self) -> None:
        """Let receivers find out that nobody listens any more."""
        self._looks.release(100_000)


@pytest.fixture
def slowness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slowness]:
    slowness = Slowness()
    monkeypatch.setattr("tasklane.adapters.http.time", slowness)
    yield slowness
    slowness.end()


def resolving(*addresses: str) -> Any:
    """A resolver for which every name has these addresses."""

    def resolve(host: str, port: int, **_: Any) -> Sequence[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve
