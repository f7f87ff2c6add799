"""Ends a worker process in which too many handlers go on after their time; Lambda then starts a fresh one.

The only sound moment is the end of a batch, in place of its answer. After the answer the process is frozen, and a
thread that waits to end it would wake up in the midst of the next batch; before the next batch is claimed, that batch
would pay for it with a receive count. So what was handled is acknowledged here, as Lambda would do after the answer,
and what was not comes again, as after any answer. Were even that to fail: the messages come again, and their claims
are refused.
"""

import logging
import os
import sys
from collections.abc import Callable

from tasklane.errors import Unavailable
from tasklane.ports import MessageSource
from worker.receipts import Receipts

logger = logging.getLogger("tasklane.worker")


def end_process() -> None:
    """End this process now, whatever its threads do. Lambda counts a failed invocation."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


def end_worn_out(reason: str, handled: Receipts, source: MessageSource, end: Callable[[], None] = end_process) -> None:
    """Acknowledge the messages that were handled, and end the process."""
    logger.error("This worker ends itself: %s", reason, extra={"action": "worker_worn_out"})
    try:
        if handled.handles:
            source.acknowledge(handled.lane, handled.handles)
    except Unavailable as exc:
        extra = {"action": "acknowledge_failed", "error": str(exc)}
        logger.warning("Messages could not be acknowledged; their claims will be refused.", extra=extra)
    end()
