"""A download comes whole and in time, by way of public addresses only, or not at all."""

import pytest

from tasklane.adapters.http import MAX_REDIRECTS, HttpClient
from tasklane.errors import AddressRefused, NonRetryable, Unavailable
from tests.support.receiver import OK, Connection, Receiver
from tests.unit.http.conftest import PATIENT, Slowness


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


def test_a_download_that_drips_is_unavailable(client: HttpClient, receiver: Receiver, slowness: Slowness) -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        slowness.drip(connection, b"x" * 2000)

    receiver.answer = drip

    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.download(receiver.url, 20, 5000)


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


def test_a_download_has_one_time_limit_for_all_its_redirects(
    client: HttpClient, receiver: Receiver, slowness: Slowness
) -> None:
    receiver.always(redirect("/again"))

    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.download(receiver.url, 24, 100)
    assert 1 < len(receiver.requests) <= MAX_REDIRECTS, "each of them takes a few seconds"
