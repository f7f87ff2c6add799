"""The health page of the roles that serve nothing else, at the path of the API's own.

``/health`` answers 503 where the process has to be replaced: one of its threads has died or does not come back. With
``?deep=true`` also where what is behind it does not answer; that passes by itself.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENT_SECONDS = 5.0
"""How long a request may take to come, or its answer to be read."""


class Work(Protocol):
    """What a role does, as far as its health page asks."""

    def stuck(self) -> Sequence[str]:
        """What this process cannot go on without and that has died or does not come back."""

    def unanswered(self) -> Sequence[str]:
        """What did not answer when it was last asked; everything until something has."""


@contextmanager
def health_page(host: str, port: int, role: str, work: Work) -> Iterator[None]:
    """Serve the page while the context lasts. Raises OSError where the port is taken."""

    class Page(BaseHTTPRequestHandler):
        timeout = CLIENT_SECONDS

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path != "/health":
                self._answer(HTTPStatus.NOT_FOUND, {"status": "not found"})
                return
            stuck, deep = work.stuck(), parse_qs(asked.query).get("deep") == ["true"]
            unanswered = work.unanswered() if deep else ()
            status = "stuck" if stuck else "unavailable" if unanswered else "ok"
            body: dict[str, object] = {"status": status, "role": role, "stuck": stuck, "unanswered": unanswered}
            self._answer(HTTPStatus.OK if status == "ok" else HTTPStatus.SERVICE_UNAVAILABLE, body)

        def _answer(self, status: HTTPStatus, body: dict[str, object]) -> None:
            content = json.dumps({name: value for name, value in body.items() if value}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Probes come every few seconds: say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever asked has gone away, or was too slow: that is nobody's error."""

    with Server((host, port), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="health", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
