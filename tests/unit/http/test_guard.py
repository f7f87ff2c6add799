"""Outbound calls reach public addresses only: the address that was checked is the one connected to."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from infra.local.engine import free_port
from tasklane.adapters.http import HttpClient, OutboundGuard
from tasklane.addresses import is_public
from tasklane.errors import AddressRefused, Unavailable
from tests.support.receiver import Receiver
from tests.unit.http.conftest import BODY, PATIENT, resolving

# -- addresses ---------------------------------------------------------------------------------------------------------


PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946", "2001:4860:4860::8888"]
NOT_PUBLIC = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "this host",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "shared (RFC 6598)",
    "169.254.169.254": "metadata service",
    "169.254.170.2": "container credentials",
    "192.0.0.192": "another cloud's metadata service",
    "192.88.99.1": "6to4 relays",
    "192.0.2.1": "documentation",
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::1": "loopback",
    "::": "unspecified",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local with a zone",
    "fec0::1": "site-local (RFC 3879)",
    "fc00::1": "unique local",
    "fd00:ec2::254": "metadata service",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "2001::1": "Teredo",
    "100::1": "discard",
    "4000::1": "not assigned",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:10.0.0.1": "IPv4-mapped",
    "::ffff:169.254.169.254": "IPv4-mapped",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:0:127.0.0.1": "IPv4-translated",
    "64:ff9b::7f00:1": "NAT64 of 127.0.0.1",
    "64:ff9b::a9fe:a9fe": "NAT64 of the metadata service",
    "64:ff9b:1::1": "local NAT64 (RFC 8215)",
    "2002:7f00:1::": "6to4 of 127.0.0.1",
    "2002:a9fe:a9fe::1": "6to4 of the metadata service",
    "2002:c0a8:101::1": "6to4 of 192.168.1.1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(address)
    assert OutboundGuard(resolve=resolving(address)).addresses("example.com", 443) == [address]


@pytest.mark.parametrize("address", ["::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_a_public_address_inside_another_is_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [pytest.param(one, id=f"{one} {why}") for one, why in NOT_PUBLIC.items()])
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(AddressRefused, match=r"'inside\.example\.com' is not a public address"):
        OutboundGuard(resolve=resolving(address)).addresses("inside.example.com", 443)


def test_one_forbidden_address_among_several_refuses_them_all() -> None:
    guard = OutboundGuard(resolve=resolving("93.184.216.34", "10.0.0.7"))

    with pytest.raises(AddressRefused):
        guard.addresses("rebinding.example.com", 443)


def test_only_loopback_is_allowed_in_the_local_run() -> None:
    assert OutboundGuard(allow_loopback=True, resolve=resolving("127.0.0.1", "::1")).addresses("localhost", 80)
    for address in ("10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"):
        with pytest.raises(AddressRefused):
            OutboundGuard(allow_loopback=True, resolve=resolving(address)).addresses("localhost", 80)


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Unavailable, match="could not be resolved"):
        OutboundGuard(resolve=unknown).addresses("nowhere.invalid", 443)
    with pytest.raises(Unavailable, match="could not be resolved"):
        OutboundGuard().addresses("x" * 64 + ".example.com", 443)  # a label longer than the resolver's codec takes


SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.01",
    "127.1",
    "127.0.1",
    "0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[fe80::1]",
    "10.0.0.1",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_an_inner_address_gets_through(strict: HttpClient, receiver: Receiver, host: str) -> None:
    # Some of these spellings no resolver here knows: then nobody is connected to either.
    with pytest.raises((AddressRefused, Unavailable)):
        strict.post(f"http://{host}:{receiver.port}/", BODY, {}, PATIENT)
    with pytest.raises((AddressRefused, Unavailable)):
        strict.download(f"http://{host}:{receiver.port}/", PATIENT, 100)
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_an_inner_address_is_refused_for_good(strict: HttpClient, host: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        strict.post(f"http://{host}/", BODY, {}, PATIENT)


def test_the_checked_address_is_the_one_connected_to(receiver: Receiver) -> None:
    looked_up: list[str] = []

    def changing(host: str, port: int, **_: Any) -> Sequence[Any]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "10.255.255.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    client = HttpClient(OutboundGuard(allow_loopback=True, resolve=changing))
    response = client.post(f"http://hooks.example.com:{receiver.port}/x", BODY, {}, PATIENT)
    client.close()

    assert response.status_code == 200
    assert looked_up == ["hooks.example.com"]
    assert receiver.requests[0].headers["host"] == f"hooks.example.com:{receiver.port}"


def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    guard = OutboundGuard(allow_loopback=True, resolve=resolving("127.0.0.2", "127.0.0.1"))  # nobody listens at .2
    client = HttpClient(guard)

    assert client.post(f"http://two.example.com:{receiver.port}/", BODY, {}, PATIENT).status_code == 200
    client.close()


def test_nobody_at_any_address_is_unavailable() -> None:
    client = HttpClient(OutboundGuard(allow_loopback=True, resolve=resolving("127.0.0.2", "127.0.0.1")))
    with pytest.raises(Unavailable, match=r"no answer from two\.example\.com: ConnectError"):
        client.post(f"http://two.example.com:{free_port()}/", BODY, {}, PATIENT)
    client.close()
    client = HttpClient(OutboundGuard(resolve=resolving()))
    with pytest.raises(Unavailable, match="has no address"):
        client.post("http://none.example.com/", BODY, {}, PATIENT)
    client.close()


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "example.com",
        "//example.com/",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://:@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://[::1/",
        "http://[nonsense]/",
        "http://exämple.com/",
        "http://example.com/päth",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com/\x00",
        "",
    ],
)
def test_what_is_no_plain_http_url_is_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(AddressRefused):
        client.post(url, BODY, {}, PATIENT)
    with pytest.raises(AddressRefused):
        client.download(url, PATIENT, 100)
