"""Use case: accept a task. Once ``submit`` has returned, the task is kept and will reach a final status."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from string import Formatter
from typing import Any

from tasklane import document
from tasklane.addresses import why_never
from tasklane.dispatch import send_to_lanes
from tasklane.errors import IdempotencyConflict, InvalidPayload, InvalidRequest, Unavailable
from tasklane.ids import derived_task_id, new_lease_id, new_task_id
from tasklane.line import pull_line
from tasklane.ports import BlobStore, Clock, TaskQueue, TaskStore
from tasklane.registry import TaskType
from tasklane.task import DEFAULT_TENANT, Callback, CallbackEvent, Status, Task
from tasklane.task_types import TaskTypes
from tasklane.throttle import MAX_KEY, MAX_KEYS
from tasklane.timing import MAX_DELAY_MS, Timing, next_look

logger = logging.getLogger(__name__)

_STEPS = re.compile(r"^[^.\[]+|\.[^.\[]+|\[[^\]]*\]")
"""The steps of a replacement field's name (https://docs.python.org/3/library/string.html#format-string-syntax)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """What a caller asks for. None means: as the task type says. Times are Unix milliseconds."""

    type: str
    payload: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)
    priority: int | None = None
    tenant: str = DEFAULT_TENANT
    delay_seconds: int | None = None
    run_at: int | None = None
    expires_at: int | None = None
    callback_url: str | None = None
    callback_events: Sequence[CallbackEvent] = ()
    """What the callback is to tell besides the end."""
    callback_give_up_on_4xx: bool | None = None
    """Whether an answer of 4xx ends the callback at once; None: as the installation says."""
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    retry: Mapping[str, Any] | None = None
    """Fields of RetryPolicy by name that are to differ from the type's: pauses, base, cap, age."""
    labels: Mapping[str, str] = field(default_factory=dict)
    throttle_keys: Sequence[str] = ()
    """Whose limits are to hold for it, besides those of its type's own keys."""
    idempotency_key: str | None = None
    caller: str = ""
    """Who asks; idempotency keys of different callers never meet."""
    request_hash: str | None = None
    """Digest of what was asked, to tell a repetition from another request under the same key."""
    correlation_id: str | None = None
    contract: str | None = None
    """The contract that it came through; None: /v1."""
    external: bool = False
    """External workers are to do it, whether the name has a handler here or nobody has heard of it yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """The task as kept; ``replayed`` is True where an earlier request with the same key had made it."""

    task: Task
    replayed: bool


class Submit:
    """Checks a submission, keeps the task, and sends it down its lane."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        blobs: BlobStore,
        types: TaskTypes,
        clock: Clock,
        timing: Timing,
        allow_loopback: bool = False,
    ) -> None:
        """``allow_loopback``: whether callbacks may go to this machine itself."""
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._types = types
        self._clock = clock
        self._timing = timing
        self._allow_loopback = allow_loopback

    def __call__(self, submission: Submission) -> Submitted:
        """Accept the task. The send may fail without harm: the sweeper sends what did not arrive.

        Raises UnknownTaskType, InvalidPayload, InvalidRequest, DocumentTooLarge, IdempotencyConflict, and Unavailable
        where it could not be kept; the same request may then be made again.
        """
        now = self._clock.now()
        find = self._types.for_external if submission.external else self._types.find
        task_type = find(submission.type)
        payload = _payload_text(submission.payload)
        keys = throttle_keys(submission.throttle_keys, task_type, task_type.parse_payload(payload))
        if keys and _is_external(submission, task_type):
            raise InvalidRequest(
                "Limits hold for handlers.",
                [
                    {
                        "pointer": "/throttle_keys",
                        "detail": "External workers fetch this task when they have time for it.",
                    }
                ],
            )
        try:
            task = self._new_task(submission, task_type, payload, now).evolve(throttle_keys=keys)
        except InvalidRequest:
            # What was right at first may be wrong by now (its expiry has passed); a repetition still gets its task.
            if (earlier := self._earlier(submission)) is None:
                raise
            return Submitted(task=earlier, replayed=True)
        (stored,) = self._store.put([task])
        if isinstance(stored, Unavailable):
            raise stored
        if stored.request_hash != task.request_hash:
            raise IdempotencyConflict(
                "This Idempotency-Key was used before with another request.",
                [{"pointer": "", "detail": f"The earlier request made task {stored.id}."}],
            )
        if stored.lease_id != task.lease_id:
            return Submitted(task=stored, replayed=True)
        send_to_lanes(self._queue, [task], now)
        return Submitted(task=task, replayed=False)

    def _earlier(self, submission: Submission) -> Task | None:
        """The task that the same request made before, under its idempotency key."""
        if submission.idempotency_key is None:
            return None
        task_id = derived_task_id(submission.caller, submission.idempotency_key)
        task = self._store.get([task_id]).get(task_id)
        return task if task is not None and task.request_hash == submission.request_hash else None

    def _new_task(self, submission: Submission, task_type: TaskType, payload: str, now: int) -> Task:
        key = submission.idempotency_key
        task_id = new_task_id(now) if key is None else derived_task_id(submission.caller, key)
        run_at = _start_time(submission, now)
        if submission.expires_at is not None and submission.expires_at <= max(now, run_at or now):
            raise InvalidRequest(
                "The task would expire before it could start.",
                [{"pointer": "/expires_at", "detail": "Must be later than now and than the task's start."}],
            )
        blob_key = f"{document.blob_prefix(task_id, now)}payload-{_digest(payload)}"
        kept = document.pack(payload, blob_key, self._blobs)
        external = _is_external(submission, task_type)
        task = Task(
            id=task_id,
            type=submission.type,
            status=Status.SCHEDULED if run_at else Status.PENDING,
            payload=kept,
            has_blobs=kept.blob_key is not None,
            created_at=now,
            timeout_seconds=_first(submission.timeout_seconds, task_type.timeout_seconds),
            max_attempts=_first(submission.max_attempts, task_type.retry.max_attempts),
            priority=_first(submission.priority, task_type.priority),
            tenant=submission.tenant,
            retry=submission.retry,
            labels=dict(submission.labels),
            run_at=run_at,
            expires_at=submission.expires_at,
            callback=self._callback(submission),
            request_hash=submission.request_hash if key is not None else None,
            # Tells this put, repeated by the SDK, from another request with the same key.
            lease_id=new_lease_id() if key is not None else None,
            correlation_id=submission.correlation_id,
            contract=submission.contract,
            external=external,
            line=pull_line(submission.type) if external and run_at is None else None,
        )
        return task.evolve(due_at=next_look(task, now, self._timing))

    def _callback(self, submission: Submission) -> Callback | None:
        url = submission.callback_url
        if not url:
            _nobody_to_tell(submission)
            return None
        # A name is looked up when the callback is sent; what can be said now need not be tried for days.
        if (why := why_never(url, allow_loopback=self._allow_loopback)) is not None:
            raise InvalidRequest("The callback could never arrive.", [{"pointer": "/callback_url", "detail": why}])
        events, give_up = tuple(submission.callback_events), submission.callback_give_up_on_4xx
        return Callback(url=url, events=events, give_up_on_4xx=give_up)


def _is_external(submission: Submission, task_type: TaskType) -> bool:
    return submission.external or task_type.handler is None


def throttle_keys(given: Sequence[str], task_type: TaskType, payload: Any) -> tuple[str, ...]:
    """The keys that hold for a task: the given ones, and what its type makes of ``payload``. Raises InvalidPayload."""
    keys = dict.fromkeys(given)
    for template in task_type.throttle_keys:
        try:
            key = _key(template, payload)
        except (LookupError, AttributeError, ValueError, TypeError) as exc:
            raise InvalidPayload(
                "The payload does not say whose limits hold for the task.",
                [{"pointer": "/payload", "detail": f"{template!r} cannot be made of it: {exc}"}],
            ) from exc
        if key is None:
            continue
        if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
            detail = f"{template!r} makes a key of it that has not 1 to {MAX_KEY} printable characters."
            raise InvalidPayload("The payload makes a key that is none.", [{"pointer": "/payload", "detail": detail}])
        keys[key] = None
    if len(keys) > MAX_KEYS:
        detail = f"At most {MAX_KEYS}, those of its type included."
        raise InvalidRequest("The task has too many keys.", [{"pointer": "/throttle_keys", "detail": detail}])
    return tuple(sorted(keys))


def _key(template: str, payload: Any) -> str | None:
    """None where a field of the template is null, or lies in one that is: the task counts towards no such limit."""
    for _, name, _, _ in Formatter().parse(template):
        # {payload.owner.account}: the payload, its owner, the owner's account.
        for part in accumulate(_STEPS.findall(name or "")):
            if Formatter().get_field(part, (), {"payload": payload})[0] is None:
                return None
    return template.format(payload=payload)


def _payload_text(payload: Mapping[str, Any] | Sequence[Any]) -> str:
    try:
        return document.to_text(dict(payload) if isinstance(payload, Mapping) else list(payload))
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidPayload("The payload is no JSON.", [{"pointer": "/payload", "detail": str(exc)}]) from exc


def _nobody_to_tell(submission: Submission) -> None:
    for name in ("callback_events", "callback_give_up_on_4xx"):
        if getattr(submission, name):
            raise InvalidRequest(
                "There is nobody to tell.", [{"pointer": f"/{name}", "detail": "Give a callback_url, too."}]
            )


def _start_time(submission: Submission, now: int) -> int | None:
    if submission.delay_seconds is not None and submission.run_at is not None:
        raise InvalidRequest(
            "A task has one start time.",
            [{"pointer": "/run_at", "detail": "Give delay_seconds or run_at, not both."}],
        )
    run_at = submission.run_at
    if submission.delay_seconds:
        run_at = now + submission.delay_seconds * 1000
    if run_at is not None and run_at - now > MAX_DELAY_MS:
        raise InvalidRequest(
            "The start time is too far off.",
            [{"pointer": "/run_at" if submission.run_at else "/delay_seconds", "detail": "At most 366 days ahead."}],
        )
    return run_at if run_at is not None and run_at > now else None


def _first(value: int | None, default: int) -> int:
    return default if value is None else value


def _digest(text: str) -> str:
    """Part of a blob's key: a refused request under a used idempotency key must not overwrite the kept payload."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
