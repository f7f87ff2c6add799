"""What the tests of outbound HTTP share: a real server on 127.0.0.1, and clients that may or may not reach it."""

import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tasklane.adapters.http import HttpClient, OutboundGuard
from tests.support.receiver import Receiver, a_receiver

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


def resolving(*addresses: str) -> Any:
    """A resolver for which every name has these addresses."""

    def resolve(host: str, port: int, **_: Any) -> Sequence[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve
