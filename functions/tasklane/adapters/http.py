"""HTTP to public addresses only: the outbound guard, callbacks, and downloads.

Every address that a name resolves to is checked when the connection is made, and the checked address is the one
connected to: a name that resolves otherwise a moment later changes nothing. Callbacks follow no redirect, downloads
check each one like the first address, and nothing follows the proxy variables of the environment (httpcore knows
none).
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import certifi
import httpcore

from tasklane import __version__
from tasklane.adapters.lookups import Lookups, Resolve
from tasklane.addresses import may_go_to
from tasklane.errors import AddressRefused, NonRetryable, Unavailable
from tasklane.ports import HttpResponse

CALLBACK_ANSWER_CAP: Final = 4 * 1024
"""Bytes of a receiver's answer that are read."""
USER_AGENT: Final = f"tasklane/{__version__}"
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_until: ContextVar[float] = ContextVar("_until")
"""When the present request must have ended, as ``time.monotonic`` tells it."""


class OutboundGuard:
    """Decides where a request may go. ``allow_loopback`` is for the local run alone."""

    def __init__(self, *, allow_loopback: bool = False, resolve: Resolve = socket.getaddrinfo) -> None:
        self._allow_loopback = allow_loopback
        self._look_up = Lookups(resolve)

    def addresses(self, host: str, port: int, seconds: float | None = None) -> list[str]:
        """The addresses of ``host``, each of them allowed. Raises AddressRefused, Unavailable.

        Unavailable also where the resolver has not answered after ``seconds`` (None: it has all the time it likes). One
        forbidden address among several refuses them all. The resolver also reads decimal, octal and hexadecimal
        spellings of IPv4 addresses; what is checked is what it made of them.
        """
        try:
            found = self._look_up(host, port, seconds)
        except (OSError, UnicodeError) as exc:
            raise Unavailable(f"{host!r} could not be resolved: {exc}") from exc
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses:
            if not may_go_to(address, allow_loopback=self._allow_loopback):
                raise AddressRefused(f"{host!r} is not a public address.")
        return addresses


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, guard: OutboundGuard) -> None:
        self._guard = guard
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._guard.addresses(host, port, _left(timeout))
        for position, address in enumerate(addresses):
            try:
                stream = self._backend.connect_tcp(address, port, _left(timeout), local_address, socket_options)
                return _BoundedStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")


class _BoundedStream(httpcore.NetworkStream):
    """Ends with its request: a timeout for each read alone lets a dripping receiver hold the function for hours."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None) -> float:
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the answer took too long")
    return left if timeout is None else min(left, timeout)


class HttpClient:
    """Posts callbacks and downloads; every connection passes the guard."""

    def __init__(self, guard: OutboundGuard) -> None:
        self._guard = guard
        self._pool: httpcore.ConnectionPool | None = None
        self._making = threading.Lock()

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """See CallbackSender."""
        sent = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        with self._stream("POST", url, sent, body, time.monotonic() + timeout_seconds) as response:
            content = b"".join(_capped(response.iter_stream(), CALLBACK_ANSWER_CAP))
            return _answer(response, content[:CALLBACK_ANSWER_CAP])

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        """See Downloader."""
        until = time.monotonic() + timeout_seconds
        for _ in range(MAX_REDIRECTS + 1):
            with self._stream("GET", url, {"accept": "*/*"}, b"", until) as response:
                answer = _answer(response, b"")
                location = answer.headers.get("location")
                if answer.status_code in _REDIRECTS and location:
                    url = _joined(url, location)
                    continue
                return replace(answer, body=_whole_body(response, max_bytes))
        raise NonRetryable(f"more than {MAX_REDIRECTS} redirects")

    @contextmanager
    def _stream(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, until: float
    ) -> Iterator[httpcore.Response]:
        target = _checked(url)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), max(0.0, until - time.monotonic()))
        sent = {"host": target.netloc.rpartition("@")[2], "user-agent": USER_AGENT, "accept-encoding": "identity"}
        token = _until.set(until)
        try:
            with self._connections().stream(
                method,
                url.partition("#")[0],
                headers=list({**sent, **headers}.items()),
                content=body or None,
                extensions={"timeout": limits},
            ) as response:
                yield response
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError) as exc:
            raise Unavailable(f"no answer from {target.hostname}: {type(exc).__name__} {exc}".rstrip()) from exc
        finally:
            _until.reset(token)

    def _connections(self) -> httpcore.ConnectionPool:
        # The callbacks of a batch ask for it at once; each would make its own, and nobody would close the others.
        with self._making:
            if self._pool is None:
                self._pool = httpcore.ConnectionPool(
                    ssl_context=ssl.create_default_context(cafile=certifi.where()),
                    max_connections=20,
                    keepalive_expiry=5.0,
                    network_backend=_GuardedBackend(self._guard),
                )
            return self._pool

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _checked(url: str) -> Any:
    if not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("A URL is printable ASCII: percent-encode its path, punycode its host.")
    try:
        target = urlsplit(url)
        port = target.port
    except ValueError as exc:
        raise AddressRefused(f"not a URL: {exc}") from exc
    if target.scheme not in ("http", "https") or not target.hostname or target.username is not None or port == 0:
        raise AddressRefused("Only http and https URLs with a host and without credentials are fetched.")
    return target


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as exc:
        raise AddressRefused(f"redirected to what is not a URL: {exc}") from exc


def _answer(response: httpcore.Response, body: bytes) -> HttpResponse:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return HttpResponse(status_code=response.status, headers=headers, body=body)


def _whole_body(response: httpcore.Response, max_bytes: int) -> bytes:
    body = bytearray()
    for piece in response.iter_stream():
        body += piece
        if len(body) > max_bytes:
            raise NonRetryable(f"the body is larger than {max_bytes} bytes")
    return bytes(body)


def _capped(pieces: Iterator[bytes], cap: int) -> Iterator[bytes]:
    """Pieces until the cap is reached or the time is up: the status has said what there was to say."""
    try:
        for piece in pieces:
            yield piece
            cap -= len(piece)
            if cap <= 0:
                return
    except httpcore.TimeoutException:
        return
