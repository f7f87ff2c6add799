"""A server on 127.0.0.1 that keeps what it was asked and answers, byte by byte, what a test wants."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """The server's side of one exchange."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._connection = connection
        self._stopped = stopped

    def send(self, content: bytes) -> None:
        self._connection.sendall(content)

    def hang(self) -> None:
        """Say nothing more until the test is over."""
        self._stopped.wait()


@dataclass(kw_only=True)
class Receiver:
    """``answer`` may be changed at any time; it answers the next request."""

    port: int
    answer: Callable[[Connection], None] = lambda connection: connection.send(OK)
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def always(self, content: bytes) -> None:
        self.answer = lambda connection: connection.send(content)


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    stopped = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                while request := _read(self.rfile):
                    receiver.requests.append(request)
                    receiver.answer(Connection(self.connection, stopped))
            except ConnectionError:
                return  # the client has had enough

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


def _read(stream: "socketserver._BufferedIOBase") -> Request | None:  # type: ignore[name-defined]
    line = stream.readline().decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    return Request(line=line, headers=headers, body=stream.read(int(headers.get("content-length", 0))))
