"""Use case: deliver callbacks. A callback is owed until it is delivered, or given up and listed as undelivered.

Its form is Standard Webhooks'
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from tasklane import document, transitions
from tasklane.callback_body import Event, body_of
from tasklane.dispatch import send_callbacks
from tasklane.errors import ConfigurationError, Unavailable, public_details
from tasklane.ids import new_lease_id
from tasklane.message import CallbackMessage
from tasklane.ports import (
    BlobStore,
    CallbackQueue,
    CallbackSender,
    Change,
    Clock,
    HttpResponse,
    SigningSecrets,
    TaskStore,
)
from tasklane.retry import Random
from tasklane.save import save_patiently
from tasklane.signature import signed_headers
from tasklane.task import MAX_HISTORY, Callback, CallbackState, CallbackTry, Task
from tasklane.transitions import Timing

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 15.0
"""How long a receiver may take to answer."""
PAUSES: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between tries, the schedule that Standard Webhooks recommends: over three days in all."""
TRY_MS: Final = int(TIMEOUT_SECONDS * 1000) + transitions.LEASE_MARGIN_MS
"""How long a try that has begun is left alone before the sweeper begins the next."""
JITTER: Final = 0.1
"""A pause is up to this part longer, so that the callbacks of an outage do not all come back together."""
INLINE_RESULT: Final = 64 * 1024
"""Bytes of JSON of the largest result that a callback carries; a larger one is fetched from the API."""
GONE: Final = 410


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackReport:
    """What became of a batch. ``unhandled`` are the positions of messages that must come again."""

    unhandled: frozenset[int] = frozenset()
    delivered: int = 0
    failed: int = 0


class DeliverCallbacks:
    """Claims tries, posts them side by side, and writes down how they went."""

    def __init__(
        self,
        *,
        store: TaskStore,
        callback_queue: CallbackQueue,
        blobs: BlobStore,
        sender: CallbackSender,
        secrets: SigningSecrets,
        clock: Clock,
        timing: Timing,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._callback_queue = callback_queue
        self._blobs = blobs
        self._sender = sender
        self._secrets = secrets
        self._clock = clock
        self._timing = timing
        self._random = random

    def __call__(self, messages: Sequence[CallbackMessage], remaining: Callable[[], float]) -> CallbackReport:
        """Deliver the callbacks that ``messages`` announce; ``remaining`` tells the seconds this process still has.

        Never raises for one callback's sake. Without a signing secret nothing is sent and everything comes again.
        """
        try:
            secrets = self._secrets.current()
            tasks = self._store.get([message.task_id for message in messages])
        except (Unavailable, ConfigurationError) as exc:
            logger.exception("Callbacks must wait.", extra={"action": "callbacks_wait", "error": str(exc)})
            return CallbackReport(unhandled=frozenset(range(len(messages))))
        claimed, unhandled = self._claim(messages, tasks)
        if not claimed:
            return CallbackReport(unhandled=unhandled)
        timeout = max(1.0, min(TIMEOUT_SECONDS, remaining() - 2.0))
        with ThreadPoolExecutor(max_workers=len(claimed), thread_name_prefix="callback") as pool:
            ended = list(pool.map(lambda task: self._deliver(task, secrets, timeout), claimed))
        # Somebody may have let the callback begin anew meanwhile: its first try has this one's number, but another id.
        guards = ("status", "run", "callback", "lease_id")
        changes = [
            Change(before=task, after=after, unchanged=guards) for task, after in zip(claimed, ended, strict=True)
        ]
        written = save_patiently(self._store, changes)
        send_callbacks(self._callback_queue, written, self._clock.now())
        delivered = sum(t.callback is not None and t.callback.state is CallbackState.DELIVERED for t in ended)
        return CallbackReport(unhandled=unhandled, delivered=delivered, failed=len(ended) - delivered)

    def _claim(self, messages: Sequence[CallbackMessage], tasks: dict[str, Task]) -> tuple[list[Task], frozenset[int]]:
        now = self._clock.now()
        changes: dict[int, Change] = {}
        for position, message in enumerate(messages):
            task = tasks.get(message.task_id)
            # A task that is gone, or a try that has begun before, is a doubled or late message.
            doubled = any(change.before.id == message.task_id for change in changes.values())
            if task is not None and not doubled and _may_begin(task, message):
                changes[position] = self._begin(task, now)
        answers = dict(zip(changes, self._store.save(list(changes.values())), strict=True)) if changes else {}
        claimed = [changes[position].after for position, answer in answers.items() if answer is True]
        return claimed, frozenset(p for p, answer in answers.items() if isinstance(answer, Unavailable))

    def _begin(self, task: Task, now: int) -> Change:
        callback = _callback(task)
        after = task.evolve(callback=replace(callback, tries=callback.tries + 1, next_at=now), lease_id=new_lease_id())
        look = max(transitions.next_callback_look(after, now, self._timing), now + TRY_MS)
        after = after.evolve(due_at=look)
        return Change(before=task, after=after, unchanged=("status", "run", "callback"))

    def _deliver(self, task: Task, secrets: Sequence[str], timeout: float) -> Task:
        callback = _callback(task)
        started_at, begun = self._clock.now(), time.monotonic()
        response: HttpResponse | None = None
        error: str | None = None
        try:
            body = json.dumps(self._body(task), ensure_ascii=False, separators=(",", ":")).encode()
            headers = signed_headers(secrets, f"{task.id}-{task.created_at}-{task.run}", started_at // 1000, body)
            response = self._sender.post(callback.url, body, headers, timeout)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the others of the batch must be written down
            error = public_details(exc)["message"]
        one = CallbackTry(
            number=callback.tries,
            started_at=started_at,
            duration_ms=round((time.monotonic() - begun) * 1000),
            status_code=response.status_code if response else None,
            error=error,
        )
        return self._after_try(task, one, response)

    def _after_try(self, task: Task, one: CallbackTry, response: HttpResponse | None) -> Task:
        callback = _callback(task)
        callback = replace(callback, history=(*callback.history, one)[-MAX_HISTORY:], next_at=None)
        task = task.evolve(lease_id=None)
        ids = {"task_id": task.id, "try": one.number, "status_code": one.status_code, "error": one.error}
        if response is not None and 200 <= response.status_code < 300:
            logger.info("A callback was delivered.", extra={"action": "callback_delivered", **ids})
            return task.evolve(callback=replace(callback, state=CallbackState.DELIVERED), due_at=None, sends=0)
        given_up = callback.tries > len(PAUSES) or (response is not None and response.status_code == GONE)
        if given_up:
            logger.error("A callback is undelivered.", extra={"action": "callback_undelivered", **ids})
            callback = replace(callback, state=CallbackState.UNDELIVERED)
            now = self._clock.now()
            task = task.evolve(callback=callback, due_at=None, sends=0, outcome_at=task.outcome_at or now)
            return transitions.kept(task, now)
        logger.warning("A callback will be tried again.", extra={"action": "callback_failed", **ids})
        now = self._clock.now()
        pause = PAUSES[callback.tries - 1] * (1 + JITTER * self._random())
        wait = max(pause, _retry_after(response, now))
        next_at = now + int(wait * 1000)
        task = transitions.kept(task.evolve(callback=replace(callback, next_at=next_at), sends=0), next_at)
        return task.evolve(due_at=transitions.next_callback_look(task, now, self._timing))

    def _body(self, task: Task) -> dict[str, Any]:
        result, url = None, None
        if task.result is not None and task.result.size <= INLINE_RESULT:
            result = document.read(task.result, self._blobs)
        elif task.result is not None:
            url = f"/v1/tasks/{task.id}/result"
        event = Event(
            name=task.status.value,
            task=task,
            at=task.finished_at or task.created_at,
            result=result,
            result_url=url,
        )
        return body_of(event, getattr(task, "contract", None))


def _callback(task: Task) -> Callback:
    if task.callback is None:
        raise ValueError(f"task {task.id} has no callback")
    return task.callback


def _may_begin(task: Task, message: CallbackMessage) -> bool:
    callback = task.callback
    return callback is not None and callback.state is CallbackState.PENDING and callback.tries == message.number - 1


def _retry_after(response: HttpResponse | None, now: int) -> float:
    """Seconds the receiver asks for (RFC 9110, section 10.2.3), at most a day; 0 where it asks for none."""
    value = response.headers.get("retry-after", "").strip() if response else ""
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), 86_400))
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now / 1000
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), 86_400.0)
