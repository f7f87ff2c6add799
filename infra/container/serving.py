"""The role ``api``: the app as it is, under uvicorn."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from api.app import create_app
from api.correlation import CorrelationFilter
from infra import http_server
from tasklane.observability import get_logger

if TYPE_CHECKING:
    from infra.container.settings import ProcessSettings
    from tasklane.bootstrap import Services


def serve(settings: ProcessSettings, services: Services, stop: threading.Event) -> int:
    """Answer requests until ``stop``, or a signal to uvicorn, which takes them itself; the exit code."""
    handler = get_logger().registered_handler
    handler.addFilter(CorrelationFilter())
    logging.getLogger("uvicorn").handlers = [handler]
    logging.getLogger("uvicorn").propagate = False
    config = http_server.configured(
        partial(create_app, services),
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=int(settings.seconds_to_stop),
        log_config=None,
        access_log=False,  # whatever balances the load has one, without the probes
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end, args=(server, stop), name="end", daemon=True).start()
    server.run()
    return 0 if server.started or stop.is_set() else 1


def _end(server: uvicorn.Server, stop: threading.Event) -> None:
    """End the server where the signal came before uvicorn took signals itself."""
    stop.wait()
    server.should_exit = True
