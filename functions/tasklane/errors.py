"""The error tree.

::

    TasklaneError
    ├── InvalidRequest            what the caller sent cannot be accepted
    │   ├── InvalidPayload        the payload does not fit the handler's model
    │   ├── UnknownTaskType       no handler and no declaration has that name
    │   ├── DocumentTooLarge      a payload or result is over the limit
    │   └── IdempotencyConflict   the key was used before with another body
    ├── TaskNotFound              no task has that id (any more)
    ├── LimitNotFound             no limit is set for that key
    ├── InvalidTransition         the change is not one that a task may make
    ├── LeaseLost                 whoever says to hold a task does not, or not any more
    ├── HasHandler                a task type of that name is done by a handler, not by external workers
    ├── NotNow                    the task's status does not allow what was asked
    ├── Unavailable               a table, queue or bucket refused or did not answer
    │   └── Contended             … others wrote the same again and again, for a moment
    ├── HandlerError              what a handler raises to steer its own retries
    │   ├── NonRetryable          … another attempt would fail in the same way
    │   ├── RetryLater            … another attempt makes sense at a time that the handler knows
    │   └── Continue              … not an error: the task goes on in a new run, with a state
    ├── AttemptFailed             how an attempt ended without the handler's own exception
    │   ├── AttemptTimedOut       … it ran longer than it was allowed to
    │   ├── AttemptLost           … its worker disappeared
    │   ├── TooManyContinuations  … it asked to go on once more than its type allows
    │   └── InvalidResult         … what it returned is no JSON or does not fit the declared result
    ├── RunLost                   this run no longer holds the task
    ├── TaskCancelled             the task was called off while it ran
    ├── AddressRefused            the outbound guard does not let a request go there
    ├── MailRefused               the mail service will not send this mail, now or later
    ├── SweepFailed               a sweep had to leave something undone that was due
    └── ConfigurationError        a setting is missing or makes no sense
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any


class TasklaneError(Exception):
    """Anything that Tasklane itself raises."""


class InvalidRequest(TasklaneError):
    """The caller's input cannot be accepted; ``issues`` points at each wrong field.

    Each issue is ``{"pointer": JSON Pointer (RFC 6901) into the request's body, "detail": sentence}``.
    """

    def __init__(self, detail: str, issues: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.issues = tuple(issues)


class InvalidPayload(InvalidRequest):
    """The payload does not fit the payload model of the handler."""


class UnknownTaskType(InvalidRequest):
    """Neither a handler nor a declaration for external workers has this name.

    ``known`` are the names that come with code; of declarations there may be any number.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.hint = (
            f"Known task types: {', '.join(known) or 'none'}. "
            "What is declared for external workers is accepted, too: see GET /v1/task-types."
        )
        super().__init__(f"There is no task type {name!r}.", [{"pointer": "/type", "detail": self.hint}])
        self.name = name
        self.known = tuple(known)


class DocumentTooLarge(InvalidRequest):
    """A payload or a result is larger than Tasklane carries.

    ``size`` and ``limit`` are bytes of JSON text.
    """

    def __init__(self, size: int, limit: int, issues: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(f"The document has {size} bytes; the limit is {limit} bytes.", issues)
        self.size = size
        self.limit = limit


class IdempotencyConflict(InvalidRequest):
    """The idempotency key belongs to an earlier request with another body."""


class TaskNotFound(TasklaneError):
    """No task has this id; it never existed or its retention has ended."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"There is no task {task_id!r}.")
        self.task_id = task_id


class LimitNotFound(TasklaneError):
    """No limit is set for this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"No limit is set for {key!r}.")
        self.key = key


class InvalidTransition(TasklaneError):
    """The change is not in ``task.TRANSITIONS``: a status never goes backwards."""


class NotNow(TasklaneError):
    """What was asked cannot be done to a task in its present status (``status``)."""

    def __init__(self, detail: str, status: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class LeaseLost(TasklaneError):
    """The lease of an external worker has ended: somebody else holds the task, or it waits, or is final."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class HasHandler(TasklaneError):
    """What was to be declared for external workers has its name from code."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Task type {name!r} comes with the installation's code.")
        self.detail = str(self)


class Unavailable(TasklaneError):
    """A service behind a port refused (throttling) or did not answer. Nothing is known to be lost; try again."""


class Contended(Unavailable):
    """Others wrote to the same limit at the same time, again and again. Nothing was written; it is over in a moment."""


class HandlerError(TasklaneError):
    """Base of the exceptions a handler raises to steer its own retries."""


class NonRetryable(HandlerError):
    """Raised by a handler: the task fails at once, whatever attempts are left."""


class RetryLater(HandlerError):
    """Raised by a handler: the attempt failed, and the next one makes sense ``retry_after`` (seconds) from now."""

    def __init__(self, message: str, retry_after: float | timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WorkerFailure(HandlerError):
    """An external worker's attempt failed; ``type`` is its own word for the error."""

    def __init__(self, type: str, message: str, retry_after: float | None = None) -> None:  # noqa: A002 - the field's
        super().__init__(message)
        self.type = type
        self.retry_after = retry_after


class Continue(HandlerError):
    """Raised by a handler: go on in a new run, with ``state`` (JSON) in ``context.state``, ``after`` seconds from now.

    Without a ``state``, what the last ``context.checkpoint`` left is there. Not counted as an attempt; for work that
    takes longer than one run may. Bounded by the type's ``max_continuations``.
    """

    def __init__(self, state: Any = None, after: float = 0.0) -> None:
        super().__init__("the handler goes on in a new run")
        self.state = state
        self.after = after


class AttemptFailed(TasklaneError):
    """An attempt that ended without an exception of the handler's own."""


class AttemptTimedOut(AttemptFailed):
    """The attempt was still running when its time was up."""


class AttemptLost(AttemptFailed):
    """The lease ran out: the worker crashed, was ended, or lost touch with the table."""


class InvalidResult(AttemptFailed):
    """The handler returned something that is not JSON, or that does not fit its declared result."""


class TooManyContinuations(AttemptFailed):
    """The handler raised Continue once more than its type's ``max_continuations``."""


class RunLost(TasklaneError):
    """This run no longer holds the task: another run has begun, or the task is final."""


class TaskCancelled(TasklaneError):
    """Somebody called the task off while it ran: let go of what you hold, and let this pass."""


class AddressRefused(NonRetryable):
    """The outbound guard refuses the address (private, loopback, link-local, metadata service, …)."""


class MailRefused(NonRetryable):
    """The mail service refuses the mail for good: a sender or a recipient that is not verified, no sender at all, …."""


class SweepFailed(TasklaneError):
    """A sweep could not look after all that was due, for another reason than time; the rest has been swept."""


class ConfigurationError(TasklaneError):
    """A setting is missing or makes no sense; the message names it."""


def error_names(error: BaseException) -> frozenset[str]:
    """The names by which a retry policy may call an error: its class's, those of its bases, or its worker's word."""
    if isinstance(error, WorkerFailure):
        return frozenset({error.type})
    return frozenset(one.__name__ for one in type(error).__mro__)


def public_details(error: BaseException) -> dict[str, Any]:
    """What a task's record says of an error: ``type``, its class's name, and ``message``, at most 1,000 characters.

    Unencodable text (lone surrogates) is replaced, so that the record can always be written.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises must not take the worker down
        message = "(the exception has no readable text)"
    return {"type": type(error).__name__, "message": message.encode("utf-8", "replace").decode("utf-8")[:1000]}
