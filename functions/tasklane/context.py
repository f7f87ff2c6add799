"""What a running handler is told and may say: the ``TaskContext``."""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, MutableMapping
from typing import Any

from tasklane import document
from tasklane.errors import RunLost, TaskCancelled
from tasklane.ports import BlobStore, Downloader, HttpResponse, Mailer
from tasklane.task import Document, Progress, Task


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
        task: Task,
        deadline: float,
        process_remaining: Callable[[], float],
        blobs: BlobStore,
        downloader: Downloader,
        mailer: Mailer,
    ) -> None:
        self.task_id = task.id
        """The task's id; the same in every attempt, so a good key for making effects idempotent."""
        self.attempt = task.attempt
        """1 in the first attempt."""
        ids = {"task_id": task.id, "task_type": task.type, "attempt": task.attempt}
        self.logger: logging.LoggerAdapter[logging.Logger] = TaskLogger(logging.getLogger(f"handlers.{task.type}"), ids)
        """Writes log lines that carry the task's ids."""
        self.has_kept_files = False
        """Whether ``keep_file`` was used."""
        self._deadline = deadline
        self._process_remaining = process_remaining
        self._blobs = blobs
        self._downloader = downloader
        self._mailer = mailer
        self._lock = threading.Lock()
        self._run = task.run
        self._blob_prefix = document.blob_prefix(task.id, task.created_at)
        self._progress: Progress | None = task.progress
        self._state = task.state
        self._ended = False
        self._cancelled = False
        self._asked = -math.inf

    def remaining(self) -> float:
        """Seconds until this attempt is timed out, or until its worker, which was told to stop, has to be gone.

        Never negative. A worker that is told to stop in mid-run lets this fall at once.
        """
        return max(0.0, min(self._deadline - time.monotonic(), self._process_remaining()))

    @property
    def state(self) -> Any:
        """What an earlier run of this task left here (``Continue``, ``checkpoint``); None where there is nothing.

        Raises Unavailable where a large state cannot be read.
        """
        kept = self.last_state()
        return None if kept is None else document.read(kept, self._blobs)

    def checkpoint(self, state: Any) -> None:
        """Keep ``state`` (JSON) for the next run, should this one fail or be lost.

        Cheap, however often it is called: the worker writes the latest every few seconds, and with the outcome. Raises
        as ``progress`` does; ValueError where ``state`` is no JSON; DocumentTooLarge, Unavailable.
        """
        kept = self.pack_state(state)
        with self._lock:
            self._asked = time.monotonic()
            self._refuse_if_over()
            self._state = kept

    def pack_state(self, state: Any) -> Document | None:
        """The document for a state; a large one is put into the blob store. Raises as ``checkpoint``."""
        if state is None:
            return None
        key = f"{self._blob_prefix}state-{self._run}-{uuid.uuid4().hex[:8]}"
        return document.pack(document.to_text(state), key, self._blobs)

    def raise_if_cancelled(self) -> None:
        """Raises TaskCancelled where the task was called off, RunLost where the attempt has been given up.

        Cheap, however often it is called: while somebody asks, the worker looks about once a second.
        """
        with self._lock:
            self._asked = time.monotonic()
            self._refuse_if_over()

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the task is: ``fraction`` from 0 to 1 and, if you like, a sentence.

        Cheap, however often it is called: the worker writes the latest word every few seconds. Raises ValueError for a
        fraction out of range, TypeError for a message that is no text, TaskCancelled where the task was called off, and
        RunLost where the attempt has been given up (timed out): stop then.
        """
        if not 0.0 <= fraction <= 1.0:  # also refuses NaN
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction!r}")
        if message is not None:
            if not isinstance(message, str):
                raise TypeError(f"the message that goes with progress is a str, not {type(message).__name__}")
            message = message.encode("utf-8", "replace").decode()[:200]
        with self._lock:
            self._asked = time.monotonic()
            self._refuse_if_over()
            self._progress = Progress(fraction=round(float(fraction), 4), message=message)

    def download(self, url: str, max_bytes: int) -> HttpResponse:
        """GET a public ``url``, its body whole, within the time this attempt still has.

        Raises AddressRefused where the outbound guard says no, NonRetryable where the body is over ``max_bytes``,
        Unavailable where no whole answer came.
        """
        return self._downloader.download(url, self.remaining(), max_bytes)

    def send_mail(self, to: str, subject: str, body: str) -> str:
        """Send a mail in plain text from the installation's own address; the mail service's name for it.

        Raises MailRefused where it will never be sent, Unavailable where another attempt may.
        """
        return self._mailer.send(to, subject, body)

    def keep_file(self, name: str, content: bytes, content_type: str = "application/octet-stream") -> str:
        """Keep ``content`` next to the task's documents; the key it is kept under. Another attempt replaces it.

        Raises Unavailable.
        """
        key = f"{self._blob_prefix}files/{name}"
        self.has_kept_files = True
        self._blobs.put(key, content, content_type)
        return key

    def last_progress(self) -> Progress | None:
        """The handler's last word; the worker writes it."""
        with self._lock:
            return self._progress

    def last_state(self) -> Document | None:
        """The latest checkpoint, or what an earlier run left."""
        with self._lock:
            return self._state

    @property
    def cancelled(self) -> bool:
        """Whether the task was called off while it ran; asking is as cheap as ``raise_if_cancelled``."""
        with self._lock:
            self._asked = time.monotonic()
            return self._cancelled

    def last_asked(self) -> float:
        """When the handler would last have heard that the task was called off, on the monotonic clock; -inf: never."""
        with self._lock:
            return self._asked

    def cancel(self) -> None:
        """The task was called off: its handler is told so at its next ``progress``."""
        with self._lock:
            self._cancelled = True

    def close(self) -> None:
        """The attempt has ended: a handler that goes on in its thread is told so at its next ``progress``."""
        with self._lock:
            self._ended = True

    def _refuse_if_over(self) -> None:
        if self._ended:
            raise RunLost(f"attempt {self.attempt} of task {self.task_id} has ended")
        if self._cancelled:
            raise TaskCancelled(f"task {self.task_id} was called off")
