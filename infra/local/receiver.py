"""A receiver for callbacks: the run's own, so that the first callback can be watched without writing a server."""

from __future__ import annotations

import hmac
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from infra.local.engine import HOST
from tasklane.signature import parse_secrets, signed_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.terminal import Terminal

MAX_BODY = 1024 * 1024
PATH = "/callbacks"


def signature_fits(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a callback was signed with ``secret``; ``headers`` in lower case."""
    try:
        secrets = parse_secrets(secret)
        ours = signed_headers(secrets, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    except (KeyError, ValueError):
        return False
    given = headers.get("webhook-signature", "").split()
    return any(
        hmac.compare_digest(our.encode(), one.encode()) for our in ours["webhook-signature"].split() for one in given
    )


@contextmanager
def receiving(terminal: Terminal, secret: str) -> Iterator[str]:
    """Receive callbacks on a free port while the context lasts, and print them; gives the URL to send them to."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("content-length") or 0), MAX_BODY))
            fits = signature_fits(secret, {name.lower(): value for name, value in self.headers.items()}, body)
            terminal.log("receiver", _describe(body) + (", signature verified" if fits else ", WRONG SIGNATURE"))
            self.send_response(204 if fits else 401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the terminal has a line already."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512  # five, the default, is fewer than may come at once

    server = Server((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, name="receiver", daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}{PATH}"
    finally:
        server.shutdown()
        server.server_close()


def _describe(body: bytes) -> str:
    try:
        event = json.loads(body)
        task = event.get("data", event)  # contract 3 tells of a task without an envelope
        of = f"{event['type']} {task['id']}" if task is not event else f"{task['status']} {task['task_id']}"
        told = "result_url" if "result_url" in task else "result"
        return f"{of} {told}={json.dumps(task[told])[:200]}"
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
        return f"a body that is no callback of Tasklane ({len(body)} bytes)"
