"""A name server that says nothing holds nobody longer than a request may take, and no threads without end."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tasklane.adapters.http import HttpClient, OutboundGuard
from tasklane.errors import AddressRefused, Unavailable
from tasklane.ports import HttpResponse
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for
from tests.unit.http.conftest import BODY, PATIENT, resolving


class SilentResolver:
    """Says nothing of names that begin with ``silent`` until ``speak``."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.address = "127.0.0.1"
        self._may_speak = threading.Event()

    def __call__(self, host: str, port: int, **_: Any) -> Sequence[Any]:
        self.asked[host] += 1
        address = self.address
        if host.startswith("silent"):
            self._may_speak.wait(PATIENT * 3)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def speak(self) -> None:
        self._may_speak.set()
        wait_for(lambda: not lookup_threads())


def lookup_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lookup"]


@pytest.fixture
def resolver() -> Iterator[SilentResolver]:
    resolver = SilentResolver()
    yield resolver
    resolver.speak()


@pytest.fixture
def guard(resolver: SilentResolver) -> OutboundGuard:
    return OutboundGuard(allow_loopback=True, resolve=resolver)


REQUESTS: dict[str, Callable[[HttpClient, str, float], HttpResponse]] = {
    "post": lambda client, url, seconds: client.post(url, BODY, {}, seconds),
    "download": lambda client, url, seconds: client.download(url, seconds, 100),
}


@pytest.mark.parametrize("request_", list(REQUESTS))
def test_a_silent_name_server_holds_no_request_past_its_time(
    guard: OutboundGuard, receiver: Receiver, request_: str
) -> None:
    client, ask = HttpClient(guard), REQUESTS[request_]
    answer = ask(client, f"http://other.example.com:{receiver.port}/", PATIENT)  # makes the connections ready
    begun = time.monotonic()

    with pytest.raises(
        Unavailable, match=r"'silent\.example\.com' could not be resolved: the name server took too long"
    ):
        ask(client, "http://silent.example.com/", 0.5)

    assert time.monotonic() - begun < PATIENT
    assert answer.status_code == 200
    client.close()


def test_many_requests_for_a_silent_name_hold_one_thread(guard: OutboundGuard, resolver: SilentResolver) -> None:
    for _ in range(5):
        with pytest.raises(Unavailable):
            guard.addresses("silent.example.com", 443, 0.02)

    assert resolver.asked == {"silent.example.com": 1}
    assert len(lookup_threads()) == 1


def test_silent_names_hold_so_many_threads_and_no_more(
    guard: OutboundGuard, resolver: SilentResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.adapters.lookups.MAX_LOOKUPS", 3)
    for number in range(5):
        with pytest.raises(Unavailable, match="took too long" if number < 3 else "3 other names are being looked up"):
            guard.addresses(f"silent-{number}.example.com", 443, 0.02)
    assert len(lookup_threads()) == 3

    resolver.speak()

    assert guard.addresses("silent-4.example.com", 443, PATIENT) == ["127.0.0.1"]


def test_a_silent_name_does_not_keep_others_waiting(guard: OutboundGuard) -> None:
    with pytest.raises(Unavailable):
        guard.addresses("silent.example.com", 443, 0.02)

    assert guard.addresses("other.example.com", 443, PATIENT) == ["127.0.0.1"]
    assert lookup_threads(), "the silent name is still being looked up"


def test_an_answer_that_came_too_late_is_not_kept(guard: OutboundGuard, resolver: SilentResolver) -> None:
    with pytest.raises(Unavailable):
        guard.addresses("silent.example.com", 443, 0.02)
    resolver.speak()
    resolver.address = "10.0.0.1"

    with pytest.raises(AddressRefused):
        guard.addresses("silent.example.com", 443, PATIENT)
    assert resolver.asked["silent.example.com"] == 2


def test_without_a_thread_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    guard = OutboundGuard(resolve=resolving("93.184.216.34"))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(Unavailable, match="can't start new thread"):
            guard.addresses("example.com", 443)

    assert guard.addresses("example.com", 443) == ["93.184.216.34"]
