"""The outbound guard, callbacks and downloads, against a real server on 127.0.0.1."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import pytest

from tasklane.adapters.http import CALLBACK_ANSWER_CAP, MAX_REDIRECTS, HttpClient, OutboundGuard, is_public
from tasklane.errors import AddressRefused, NonRetryable, Unavailable
from tests.support.engine import free_port
from tests.support.receiver import OK, Connection, Receiver, a_receiver

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


def test_a_receiver_that_drips_its_headers_does_not_hold_the_function(client: HttpClient, receiver: Receiver) -> None:
    receiver.answer = lambda connection: connection.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300 + b"\r\n\r\n", 0.02)
    begun = time.monotonic()

    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.post(receiver.url, BODY, {}, 0.2)
    assert time.monotonic() - begun < 3


def test_a_receiver_that_drips_its_body_has_answered(client: HttpClient, receiver: Receiver) -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        connection.drip(b"x" * 4000, 0.02)

    receiver.answer = drip
    begun = time.monotonic()

    response = client.post(receiver.url, BODY, {}, 0.2)

    assert response.status_code == 200
    assert 0 < len(response.body) < 4000
    assert time.monotonic() - begun < 3


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


def test_a_download_comes_whole(client: HttpClient, receiver: Receiver) -> None:
    content = bytes(range(256)) * 400
    receiver.always(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 102400\r\n\r\n" + content)

    response = client.download(f"{receiver.url}/picture", PATIENT, len(content))

    assert (response.status_code, response.headers["content-type"], response.body) == (200, "image/png", content)
    assert receiver.requests[0].line == "GET /picture HTTP/1.1"
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


def test_a_download_over_the_limit_is_refused(client: HttpClient, receiver: Receiver) -> None:
    receiver.always(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101)

    with pytest.raises(NonRetryable, match="larger than 100 bytes"):
        client.download(receiver.url, PATIENT, 100)


def test_a_download_that_drips_is_unavailable(client: HttpClient, receiver: Receiver) -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")
        connection.drip(b"x" * 300, 0.02)

    receiver.answer = drip
    begun = time.monotonic()

    with pytest.raises(Unavailable):
        client.download(receiver.url, 0.2, 1000)
    assert time.monotonic() - begun < 3


def test_a_download_that_breaks_off_is_unavailable(client: HttpClient, receiver: Receiver) -> None:
    def broken(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nonly this")
        raise ConnectionError

    receiver.answer = broken

    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        client.download(receiver.url, PATIENT, 1000)


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_download_follows_redirects(client: HttpClient, receiver: Receiver) -> None:
    answers = [redirect("/b", 301), redirect("c?d=e", 307), OK]
    receiver.answer = lambda connection: connection.send(answers.pop(0))

    assert client.download(f"{receiver.url}/a/x", PATIENT, 100).body == b"ok"
    assert [request.line.split(" ")[1] for request in receiver.requests] == ["/a/x", "/b", "/c?d=e"]


def test_a_download_that_is_sent_round_and_round_ends(client: HttpClient, receiver: Receiver) -> None:
    receiver.always(redirect("/again"))

    with pytest.raises(NonRetryable, match="redirects"):
        client.download(receiver.url, PATIENT, 100)
    assert len(receiver.requests) == MAX_REDIRECTS + 1


def test_a_redirect_without_a_location_is_the_answer(client: HttpClient, receiver: Receiver) -> None:
    receiver.always(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok")

    assert client.download(receiver.url, PATIENT, 100).status_code == 302


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "//[fd00:ec2::254]/", "http://0xa9fea9fe/"],
)
def test_a_redirect_to_an_inner_address_is_refused(client: HttpClient, receiver: Receiver, location: str) -> None:
    receiver.always(redirect(location))

    with pytest.raises(AddressRefused, match="not a public address"):
        client.download(receiver.url, PATIENT, 100)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://exämple.com/", "http://[x/"]
)
def test_a_redirect_to_what_is_no_url_is_refused(client: HttpClient, receiver: Receiver, location: str) -> None:
    receiver.always(redirect(location))

    with pytest.raises(AddressRefused):
        client.download(receiver.url, PATIENT, 100)


def test_a_download_has_one_time_limit_for_all_its_redirects(client: HttpClient, receiver: Receiver) -> None:
    def slowly(connection: Connection) -> None:
        connection.drip(redirect("/again")[:10], 0.02)
        connection.send(redirect("/again")[10:])

    receiver.answer = slowly

    with pytest.raises(Unavailable):
        client.download(receiver.url, 0.3, 100)
    assert len(receiver.requests) <= 3


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
