"""What travels through the queues: a hint to look at a task, never the truth about it.

A message may arrive twice, late or never. The record in the store decides; ``run`` (or ``number``) is the fence.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeVar

from tasklane.errors import AttemptLost
from tasklane.task import DEFAULT_TENANT, HIGHEST_PRIORITY, LOWEST_PRIORITY, CallbackEvent, Status, Task

MAX_DELAY_SECONDS: Final = 900
"""The longest delay a queue carries (SQS: DelaySeconds is at most 15 minutes)."""


ARRIVES_EARLY_MS: Final = 1000
"""How much before its time slot a message is to arrive at least; up to a second more, since queues count in seconds."""
MAX_TEXT: Final = 500
"""Characters of the longest text in a message; a table's key has at most 2,048 bytes."""


class InvalidMessage(ValueError):
    """A message that no Tasklane wrote: a poison message, for the dead-letter queue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMessage:
    """Down a lane: this task may start its run number ``run``, if its status still is ``status``.

    It carries what a worker must know before the claim, so that the claim is one write and no read.
    """

    task_id: str
    run: int
    status: str
    type: str
    priority: int
    tenant: str
    timeout_seconds: int
    due_at: int
    run_at: int | None = None
    expires_at: int | None = None
    lost: int | None = None
    """1 where the worker of the last attempt was lost: the task may have brought it down, so it runs alone."""
    keys: tuple[str, ...] = ()
    """The keys whose limits hold for it."""
    reserved_at: int | None = None
    """The time slot of its start, where a limit by rate gave it one."""
    reserved_on: int | None = None
    """When that was reserved."""
    woken: int | None = None
    """1 where it need not ask who else stands in line: it stood there first, or what kept it there is gone."""
    free_slot: str | None = None
    """The key of a limit that has a free slot: for the first in its line, be that this task or another by now."""
    external: int | None = None
    """1 where external workers do the task: it is not claimed but looked after, at ``run_at``."""

    @classmethod
    def of(cls, task: Task) -> "TaskMessage":
        """The message that lets a worker claim ``task`` as it stands now."""
        return cls(
            task_id=task.id,
            run=task.run + 1,
            status=task.status.value,
            type=task.type,
            priority=task.priority,
            tenant=task.tenant,
            timeout_seconds=task.timeout_seconds,
            due_at=task.due_at or 0,
            run_at=task.run_at,
            expires_at=task.start_by,
            external=1 if task.external else None,
            lost=1 if task.attempts and task.attempts[-1].error.type == AttemptLost.__name__ else None,
            keys=task.throttle_keys,
            reserved_at=task.reserved_at,
            reserved_on=task.reserved_on,
        )

    @classmethod
    def woken_up(cls, task: Task) -> "TaskMessage":
        """The same for a task that stands first in the line of a limit."""
        return replace(cls.of(task), woken=1)

    @classmethod
    def of_free_slot(cls, task: Task, key: str, not_before: int | None = None) -> "TaskMessage":
        """The message that ``key`` has a free slot; ``task`` is, or was, the first that waits for it."""
        free = cls.of(task.evolve(run_at=not_before, reserved_at=None, reserved_on=None, throttle_keys=()))
        return replace(free, free_slot=key, expires_at=None, lost=None)

    def announces(self, task: Task | None) -> bool:
        """True where ``task`` still is as this message says: the run may begin."""
        return task is not None and (task.status.value, task.run) == (self.status, self.run - 1)

    @classmethod
    def at_lease_end(cls, task: Task) -> "TaskMessage":
        """The message that lets an external worker's lease be looked after when it runs out."""
        return cls.of(task.evolve(status=Status.PENDING, run_at=task.lease_until, expires_at=None))

    def delay_seconds(self, now: int) -> int:
        """Whole seconds from ``now`` until the task may start, rounded up, at most what a queue carries.

        With a time slot it is to come before its time, so that the worker can wait for the very moment.
        """
        if self.reserved_at is not None:
            return min(max(0, self.reserved_at - now - ARRIVES_EARLY_MS) // 1000, MAX_DELAY_SECONDS)
        return delay_seconds(self.run_at, now)

    def to_json(self) -> str:
        """The body on the wire."""
        return _to_json(self)

    @classmethod
    def from_json(cls, body: str) -> "TaskMessage":
        """The message in ``body``. Raises InvalidMessage."""
        message = _from_json(cls, body)
        if not LOWEST_PRIORITY <= message.priority <= HIGHEST_PRIORITY:
            raise InvalidMessage(f"there is no lane {message.priority}")
        if message.status not in _WAITING:
            raise InvalidMessage(f"no task is claimed when {message.status!r}")
        return message


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackMessage:
    """Down the callback queue: this task's callback may begin its try number ``number``, not before ``send_at``.

    With an ``event`` it is not about the task's end, but about something that happened ``at`` some time before, and
    that is worth telling only while ``sequence`` still is the number of the last event.
    """

    task_id: str
    number: int
    tenant: str = DEFAULT_TENANT
    send_at: int | None = None
    event: str | None = None
    sequence: int | None = None
    at: int | None = None

    @classmethod
    def of(cls, task: Task) -> "CallbackMessage":
        """The message that lets the next try of ``task``'s callback begin."""
        if task.callback is None:
            raise ValueError(f"task {task.id} has no callback")
        callback = task.callback
        return cls(task_id=task.id, number=callback.tries + 1, tenant=task.tenant, send_at=callback.next_at)

    @classmethod
    def telling(cls, task: Task, event: CallbackEvent, at: int) -> "CallbackMessage":
        """The message that lets the first try to tell ``event``, the last thing that happened to ``task``, begin."""
        return cls(task_id=task.id, number=1, tenant=task.tenant, event=event.value, sequence=task.sequence, at=at)

    def delay_seconds(self, now: int) -> int:
        """Whole seconds from ``now`` until the try may begin, rounded up, at most what a queue carries."""
        return delay_seconds(self.send_at, now)

    def to_json(self) -> str:
        """The body on the wire."""
        return _to_json(self)

    @classmethod
    def from_json(cls, body: str) -> "CallbackMessage":
        """The message in ``body``. Raises InvalidMessage."""
        return _from_json(cls, body)


def delay_seconds(at: int | None, now: int) -> int:
    """Whole seconds until ``at``, rounded up; 0 where it is past or None; at most ``MAX_DELAY_SECONDS``."""
    if at is None or at <= now:
        return 0
    return min(math.ceil((at - now) / 1000), MAX_DELAY_SECONDS)


def _to_json(message: TaskMessage | CallbackMessage) -> str:
    return json.dumps({k: v for k, v in asdict(message).items() if v not in (None, ())}, separators=(",", ":"))


_WAITING: Final = frozenset(status.value for status in Status if status.waiting)
_FIELD_TYPES: Final[dict[str, type]] = dict.fromkeys(("task_id", "status", "type", "tenant", "event", "free_slot"), str)


_Message = TypeVar("_Message", TaskMessage, CallbackMessage)


def _from_json(cls: type[_Message], body: str) -> _Message:
    fields: Any
    try:
        fields = json.loads(body)
        if "keys" in fields:
            fields["keys"] = tuple(fields["keys"])
        message = cls(**fields)
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidMessage(f"not a {cls.__name__}: {exc}") from exc
    for name, value in fields.items():
        if name == "keys":
            if not all(isinstance(key, str) and _fits_a_table(key) and key for key in value):
                raise InvalidMessage(f"keys of a {cls.__name__} are nothing that a table keeps")
            continue
        if type(value) is not _FIELD_TYPES.get(name, int):
            raise InvalidMessage(f"{name} of a {cls.__name__} has the wrong type")
        if not _fits_a_table(value) or (name, value) == ("task_id", ""):
            raise InvalidMessage(f"{name} of a {cls.__name__} is nothing that a table keeps")
    return message


def _fits_a_table(value: Any) -> bool:
    """False for what a table refuses: such a message would fail the requests that it shares with its batch."""
    if isinstance(value, int):
        return 0 <= value < 1 << 53
    return len(value) <= MAX_TEXT and not any("\ud800" <= character <= "\udfff" for character in value)
