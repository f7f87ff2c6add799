"""A receiver of callbacks that a test can look into, and that answers as the test says."""

import json
import select
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias, cast

Answer: TypeAlias = Callable[[str, int], int]
"""From a task's id and how often it was posted before to the status to answer; ``NEVER``: none."""
NEVER: Final = 0
PATIENCE_SECONDS: Final = 20.0
"""Longer than anybody waits who is never answered."""


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.answered: defaultdict[str, list[int]] = defaultdict(list)
        """The statuses that each task's callbacks were answered with."""
        self.told: defaultdict[str, set[str]] = defaultdict(set)
        """What each task's callbacks said of its status, as far as they were answered 2xx."""
        self.connections = 0
        """How often somebody connected."""
        self.answer = answer
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/done"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A poster that was killed: that is what these tests are about."""

    def take(self, body: bytes) -> int:
        data = json.loads(body)["data"]
        task_id = data["id"]
        with self._lock:
            status = self.answer(task_id, len(self.answered[task_id]))
            self.answered[task_id].append(status)
            if 200 <= status < 300:
                self.told[task_id].add(data["status"])
        return status


class _Post(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = cast("Receiver", self.server).take(body)
        if status == NEVER:
            select.select([self.connection], [], [], PATIENCE_SECONDS)
            self.close_connection = True
            return
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"file")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing."""


@contextmanager
def receiving(answer: Answer = lambda _task_id, _before: 204) -> Iterator[Receiver]:
    receiver = Receiver(answer)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.02,), name="receiver", daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join()
