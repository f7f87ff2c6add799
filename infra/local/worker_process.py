"""A worker without Lambda: `python -m infra.local.worker_process LIFELINE FUNCTIONS` polls the lanes."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from infra.local.lifeline import Parent

if TYPE_CHECKING:
    from worker.poller import Poller

LIBRARIES = ("boto3", "aws_lambda_powertools", "pydantic")  # what takes long to import
POLL_SECONDS = 1  # a longer poll would hold up the end


def main() -> None:
    """At the parent's first line, the environment, work on the lanes until SIGTERM, the parent's end, or worn out."""
    parent, functions = Parent(int(sys.argv[1])), sys.argv[2]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for name in LIBRARIES:
        importlib.import_module(name)
    environment = parent.next_line()
    if not environment:
        return

    parent.end_with_it()
    os.environ.update(json.loads(environment))
    sys.path.insert(0, functions)
    from tasklane.bootstrap import function_services  # noqa: PLC0415 - from the folder that was given, like the next
    from tasklane.observability import get_logger  # noqa: PLC0415
    from worker.poller import make_poller  # noqa: PLC0415

    get_logger()  # from here on the core's lines come out as JSON
    poller = make_poller(function_services(), wait_seconds=POLL_SECONDS)
    poller.start()
    parent.say_ready()
    threading.Thread(target=_set_when_over, args=(poller, ended), name="worn-out", daemon=True).start()
    ended.wait()
    poller.stop()


def _set_when_over(poller: Poller, ended: threading.Event) -> None:
    poller.wait()
    ended.set()


if __name__ == "__main__":
    main()
