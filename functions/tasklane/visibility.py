"""While a batch runs, its messages are kept from other workers: the heartbeat of what carries the work."""

import logging
import math
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from tasklane.errors import Unavailable
from tasklane.ports import MessageSource

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 10.0
"""So long after its receipt a batch's visibility is first extended: nobody knows how long it lay with Lambda before."""
LEAST_SECONDS: Final = 1.0
"""The least pause between two extensions, however short the queue's visibility timeout is."""
SETTLE_SECONDS: Final = 5.0
"""How long the end of a batch waits for an extension that is under way."""


class Visibility:
    """The visibility timeout of one batch's messages. A context manager, to be left when the batch is over."""

    def __init__(self, source: MessageSource, lane: int, handles: Sequence[str]) -> None:
        self._source = source
        self._lane = lane
        self._handles = handles
        self._thread: threading.Thread | None = None
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def extend(self) -> None:
        """Extend it if it is time to. Answers at once: a queue that does not answer must not hold up a lease."""
        if not self._handles or time.monotonic() < self._next:
            return
        self._next = math.inf  # until this one has ended
        thread = threading.Thread(target=self._extend, name="visibility", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had just now
            self._next = time.monotonic() + HEARTBEAT_SECONDS
        else:
            self._thread = thread

    def _extend(self) -> None:
        pause = HEARTBEAT_SECONDS
        try:
            pause = max(LEAST_SECONDS, self._source.extend(self._lane, self._handles) / 3)
        except Unavailable as exc:
            extra = {"action": "extend_failed", "lane": self._lane, "error": str(exc)}
            logger.warning("The visibility of messages could not be extended; their leases stand.", extra=extra)
        self._next = time.monotonic() + pause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One that comes late would hide what has been given back by then.
        if self._thread:
            self._thread.join(SETTLE_SECONDS)
