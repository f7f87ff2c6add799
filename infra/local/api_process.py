"""The API's own process: `python -m infra.local.api_process LIFELINE SOCKET FUNCTIONS` serves `api.app:create_app`.

It is a process and not a thread so that edited code is imported afresh; the listening socket belongs to the parent,
so that requests wait during the restart instead of being refused.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys

from infra.local import lifeline

GRACE_SECONDS = 1  # for requests under way, such as a GET that waits for its task


def main() -> None:
    """Import the application while the parent deploys, take the environment from the parent, and serve."""
    lifeline_fd, socket_fd, functions = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C before uvicorn takes over ends this without a traceback
    sys.path.insert(0, functions)
    import uvicorn  # noqa: PLC0415 - while the parent deploys

    from api.app import create_app  # noqa: PLC0415 - from the folder that was given

    environment = lifeline.read_line(lifeline_fd)
    if not environment:
        return
    lifeline.end_with_parent(lifeline_fd)
    os.environ.update(json.loads(environment))
    config = uvicorn.Config(create_app, factory=True, timeout_graceful_shutdown=GRACE_SECONDS)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the ready lines say what its own would
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=socket_fd)])


if __name__ == "__main__":
    main()
