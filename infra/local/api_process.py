"""The API's own process: `python -m infra.local.api_process LIFELINE SOCKET FUNCTIONS` serves `api.app:create_app`.

It is a process and not a thread so that edited code is imported afresh; the listening socket belongs to the parent,
so that no connection is refused during the change.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.access_log import OncePerMinute
from infra.local.api import POLL_LANES
from infra.local.lifeline import Parent
from infra.local.wrong_code import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.poller import Poller

LIBRARIES = ("fastapi", "boto3", "aws_lambda_powertools")  # what takes long to import and is never edited
POLL_SECONDS = 1  # a longer poll would hold up the end and the restart
GRACE_SECONDS = 1  # for requests under way, such as a GET that waits for its task


def main() -> None:
    """Import the libraries; at the parent's first line import the code; at its second, the environment, serve."""
    parent, socket_fd, functions = Parent(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C before uvicorn takes over ends this without a traceback
    import uvicorn  # noqa: PLC0415

    from infra import http_server  # noqa: PLC0415

    for name in LIBRARIES:
        importlib.import_module(name)
    if not parent.next_line():
        return

    sys.path.insert(0, functions)
    try:
        from api.app import create_app  # noqa: PLC0415 - from the folder that was given
        from tasklane.registry import load_handlers  # noqa: PLC0415

        load_handlers()  # what cannot be imported must show before this process takes over
    except Exception as exc:  # noqa: BLE001 - whatever code does that is being edited
        sys.exit(explain(exc, Path(functions)))
    parent.say_ready()
    environment = parent.next_line()
    if not environment:
        return

    parent.end_with_it()
    os.environ.update(json.loads(environment))
    _write_logs()
    config = http_server.configured(create_app, timeout_graceful_shutdown=GRACE_SECONDS)
    logging.getLogger("uvicorn.access").addFilter(OncePerMinute())
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the ready lines say what its own would
    with _polling() if POLL_LANES in os.environ else nullcontext():
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=socket_fd)])


def _write_logs() -> None:
    """Log as the functions do: JSON lines, which the run prints; in DEBUG this process prints them itself."""
    from api.correlation import CorrelationFilter  # noqa: PLC0415 - from the folder that was given, like the next
    from tasklane.observability import CORE_LOGGERS, get_logger  # noqa: PLC0415

    handler = get_logger().registered_handler
    if POLL_LANES in os.environ:
        from infra.local.terminal import Terminal, TerminalHandler  # noqa: PLC0415 - needed nowhere else here

        handler = TerminalHandler(Terminal(), handler.formatter)
        for name in CORE_LOGGERS:
            logging.getLogger(name).handlers = [handler]
    handler.addFilter(CorrelationFilter())


@contextmanager
def _polling() -> Iterator[None]:
    """Work on the lanes in threads of this process, one batch at a time, so that breakpoint() has the terminal."""
    from tasklane.bootstrap import function_services  # noqa: PLC0415 - reads the environment that just came
    from worker.poller import make_poller  # noqa: PLC0415

    poller = make_poller(function_services(), wait_seconds=POLL_SECONDS)
    poller.start()
    threading.Thread(target=_end_when_worn_out, args=(poller,), name="worn-out", daemon=True).start()
    try:
        yield
    finally:
        poller.stop()


def _end_when_worn_out(poller: Poller) -> None:
    """End this process in order when its worker takes no more work; the run starts another one."""
    if poller.wait():
        poller.stop()
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
