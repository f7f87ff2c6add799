"""A shared step: let it be told, beside the work, that a task began to run or got on.

Such an event is a courtesy: it is sent from a thread of its own, because a queue that does not answer must hold up
neither a handler nor a lease nor an outcome, and it is dropped where it cannot be sent.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Final

from tasklane.message import CallbackMessage
from tasklane.ports import CallbackQueue, Clock
from tasklane.task import CallbackEvent, Task

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""How many events may wait to be sent; what comes while a queue does not answer is dropped."""
SETTLE_SECONDS: Final = 1.0
"""How long the end of a batch waits for its last sends: a Lambda that has answered is frozen in the midst of them."""


class Announcer:
    """Sends events of running tasks to the callback queue, for those tasks whose callers asked for them."""

    def __init__(self, *, callback_queue: CallbackQueue, clock: Clock) -> None:
        self._callback_queue = callback_queue
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[CallbackMessage] = []
        self._thread: threading.Thread | None = None
        """Sends what waits, and ends when nothing does; None: nothing waits."""

    def announce(self, event: CallbackEvent, tasks: Iterable[Task]) -> None:
        """Send ``event`` of each of ``tasks`` that wants it told; returns at once and never raises."""
        wanted = [task for task in tasks if task.callback is not None and event in task.callback.events]
        if not wanted:
            return
        now = self._clock.now()
        messages = [CallbackMessage.telling(task, event, now) for task in wanted]
        with self._lock:
            if len(self._waiting) + len(messages) > MAX_WAITING:
                _dropped(messages, "too many wait already")
                return
            self._waiting += messages
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def settle(self) -> None:
        """Wait a moment for the sends that are under way."""
        if (thread := self._thread) is not None:
            thread.join(SETTLE_SECONDS)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._send_all, name="announce", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as exc:  # no thread can be started any more
            self._thread = None
            _dropped(self._waiting, str(exc))
            self._waiting = []

    def _send_all(self) -> None:
        while True:
            with self._lock:
                messages, self._waiting = self._waiting, []
                if not messages:
                    self._thread = None
                    return
            self._send(messages)

    def _send(self, messages: Sequence[CallbackMessage]) -> None:
        try:
            answers = self._callback_queue.send(messages)
        except Exception as exc:  # noqa: BLE001 - nobody is there to hear of it
            _dropped(messages, str(exc))
            return
        for message, answer in zip(messages, answers, strict=True):
            if answer is not None:
                _dropped([message], str(answer))


def _dropped(messages: Sequence[CallbackMessage], why: str) -> None:
    for message in messages:
        extra = {"action": "event_dropped", "task_id": message.task_id, "event": message.event, "error": why}
        logger.warning("An event is not told.", extra=extra)
