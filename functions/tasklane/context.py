"""What a running handler is told and may say: the ``TaskContext``."""

import logging
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from tasklane.document import blob_prefix
from tasklane.errors import RunLost
from tasklane.ports import BlobStore, Downloader, HttpResponse
from tasklane.task import Progress


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the task's ids to every line a handler logs."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """The line's ``extra``, with the ids added; the handler's own keys win."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class TaskContext:
    """One run, as its handler sees it. Safe to use from any thread."""

    def __init__(
        self,
        *,
        task_id: str,
        task_type: str,
        attempt: int,
        deadline: float,
        blobs: BlobStore,
        downloader: Downloader,
    ) -> None:
        self.task_id = task_id
        """The task's id; the same in every attempt, so a good key for making effects idempotent."""
        self.attempt = attempt
        """1 in the first attempt."""
        ids = {"task_id": task_id, "task_type": task_type, "attempt": attempt}
        self.logger: logging.LoggerAdapter[logging.Logger] = TaskLogger(logging.getLogger(f"handlers.{task_type}"), ids)
        """Writes log lines that carry the task's ids."""
        self.has_kept_files = False
        """Whether ``keep_file`` was used."""
        self._deadline = deadline
        self._blobs = blobs
        self._downloader = downloader
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._closed = False

    def remaining(self) -> float:
        """Seconds until this attempt is timed out; never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the task is: ``fraction`` from 0 to 1 and, if you like, a sentence.

        Cheap, however often it is called: the worker writes the latest word every few seconds. Raises ValueError for a
        fraction out of range, and RunLost where the attempt has been given up (timed out): stop then.
        """
        if not 0.0 <= fraction <= 1.0:  # also refuses NaN
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction!r}")
        if message is not None:
            message = message.encode("utf-8", "replace").decode()[:200]
        with self._lock:
            if self._closed:
                raise RunLost(f"attempt {self.attempt} of task {self.task_id} has ended")
            self._progress = Progress(fraction=round(float(fraction), 4), message=message)

    def download(self, url: str, max_bytes: int) -> HttpResponse:
        """GET a public ``url``, its body whole, within the time this attempt still has.

        Raises AddressRefused where the outbound guard says no, NonRetryable where the body is over ``max_bytes``,
        Unavailable where no whole answer came.
        """
        return self._downloader.download(url, self.remaining(), max_bytes)

    def keep_file(self, name: str, content: bytes, content_type: str = "application/octet-stream") -> str:
        """Keep ``content`` next to the task's documents; the key it is kept under. Another attempt replaces it.

        Raises Unavailable.
        """
        key = f"{blob_prefix(self.task_id)}files/{name}"
        self.has_kept_files = True
        self._blobs.put(key, content, content_type)
        return key

    def last_progress(self) -> Progress | None:
        """The handler's last word; the worker writes it."""
        with self._lock:
            return self._progress

    def close(self) -> None:
        """The attempt has ended: a handler that goes on in its thread is told so at its next ``progress``."""
        with self._lock:
            self._closed = True
