"""A shared step: let it be told, beside the work, that a task began to run or got on.

Such an event is a courtesy: it is sent from a thread of its own, because a queue that does not answer must hold up
neither a handler nor a lease nor an outcome, and it is dropped where it cannot be sent.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

from tasklane.message import CallbackMessage
from tasklane.ports import CallbackQueue, Clock
from tasklane.task import CallbackEvent, Task

logger = logging.getLogger(__name__)

MAX_SENDING: Final = 4
"""How many sends may be under way at once; what comes while a queue does not answer is dropped."""
SETTLE_SECONDS: Final = 1.0
"""How long the end of a batch waits for its last sends: a Lambda that has answered is frozen in the midst of them."""


class Announcer:
    """Sends events of running tasks to the callback queue, for those tasks whose callers asked for them."""

    def __init__(self, *, callback_queue: CallbackQueue, clock: Clock) -> None:
        self._callback_queue = callback_queue
        self._clock = clock
        self._sending: list[threading.Thread] = []

    def announce(self, event: CallbackEvent, tasks: Iterable[Task]) -> None:
        """Send ``event`` of each of ``tasks`` that wants it told; returns at once and never raises."""
        wanted = [task for task in tasks if task.callback is not None and event in task.callback.events]
        if not wanted:
            return
        now = self._clock.now()
        messages = [CallbackMessage.telling(task, event, now) for task in wanted]
        self._sending = [thread for thread in self._sending if thread.is_alive()]
        if len(self._sending) >= MAX_SENDING:
            _dropped(messages, "the queue is too slow")
            return
        thread = threading.Thread(target=self._send, args=(messages,), name="announce", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:  # no thread can be started any more
            _dropped(messages, str(exc))
        else:
            self._sending.append(thread)

    def settle(self) -> None:
        """Wait a moment for the sends that are under way."""
        until = time.monotonic() + SETTLE_SECONDS
        for thread in self._sending:
            thread.join(max(0.0, until - time.monotonic()))

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
