"""Calls to this machine take no proxy, all others take the environment's."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import pytest
from botocore.utils import should_bypass_proxies

from infra.cli.client import Api
from infra.proxies import is_loopback, spare_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "http://127.0.0.1:9"
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def no_names_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_names_spared")
@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, ""), ({"NO_PROXY": "intern.example"}, "intern.example"), ({"no_proxy": "a.b, 127.0.0.1"}, "a.b")],
)
def test_the_names_of_this_machine_are_spared(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kept: str
) -> None:
    environment = dict(given)
    spare_loopback(environment)
    for name, value in {**environment, "http_proxy": NOBODY}.items():
        monkeypatch.setenv(name, value)

    assert environment["no_proxy"] == environment["NO_PROXY"]
    for host in ("127.0.0.1:4566", "localhost:4566", "localhost"):
        assert proxy_bypass(host)
        assert should_bypass_proxies(f"http://{host}/")
    assert not proxy_bypass("example.com")
    assert kept in getproxies()["no"]
    assert not kept or proxy_bypass(kept)


def test_where_nothing_takes_a_proxy_nothing_is_changed() -> None:
    environment = {"NO_PROXY": "*"}
    spare_loopback(environment)
    assert environment == {"NO_PROXY": "*"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LocalHost", "api.localhost", "::1", "[::1]"])
def test_this_machine_is_known_by_all_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "localhost.example.com", "128.0.0.1", "::2", ""])
def test_other_machines_are_not_this_one(host: str) -> None:
    assert not is_loopback(host)


class Answering(BaseHTTPRequestHandler):
    """The API, or a proxy before it: says which by its port."""

    def do_GET(self) -> None:
        content = b'{"path": "%s"}' % self.path.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def answering() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("no_names_spared")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_command_line_calls_this_machine_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, answering: int, host: str
) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, NOBODY)

    with Api(f"http://{host}:{answering}") as api:
        assert api.call("GET", "/v1/lanes") == {"path": "/v1/lanes"}


@pytest.mark.usefixtures("no_names_spared")
def test_the_command_line_calls_others_through_the_proxy(monkeypatch: pytest.MonkeyPatch, answering: int) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{answering}")

    with Api("http://tasklane.example") as api:
        assert api.call("GET", "/v1/lanes") == {"path": "http://tasklane.example/v1/lanes"}
