"""What a task is, which statuses it has, and which changes are allowed.

Times are Unix milliseconds. Records are frozen; ``evolve`` makes the changed copy, a store writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

DEFAULT_PRIORITY: Final = 3
DEFAULT_TENANT: Final = "default"
LOWEST_PRIORITY: Final = 1
HIGHEST_PRIORITY: Final = 5
MAX_HISTORY: Final = 10
"""How many ended attempts a task remembers; older ones are dropped first."""


class Status(StrEnum):
    """Where a task is in its life."""

    SCHEDULED = "scheduled"
    """Waits for its time (a delay, or the pause before the next attempt)."""
    PENDING = "pending"
    """Waits in its lane for a worker."""
    RUNNING = "running"
    """A worker holds it, for as long as its lease lasts."""
    COMPLETED = "completed"
    """The handler returned; the result is kept."""
    FAILED = "failed"
    """The last attempt failed, or an error said that another one would too."""
    CANCELLED = "cancelled"
    """Somebody called it off before it ended by itself."""
    EXPIRED = "expired"
    """Nobody started it before its ``expires_at``."""

    @property
    def final(self) -> bool:
        """True where nothing can happen to the task any more."""
        return not TRANSITIONS[self]

    @property
    def waiting(self) -> bool:
        """True where a worker may claim the task."""
        return self in (Status.SCHEDULED, Status.PENDING)


TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    # A delayed message arrives when its time has come, so its claim leads from scheduled straight to running.
    Status.SCHEDULED: frozenset({Status.PENDING, Status.RUNNING, Status.CANCELLED, Status.EXPIRED}),
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED}),
    # Back to a waiting status only with the attempt counted: a retry, a continuation, a throttled start.
    Status.RUNNING: frozenset(
        {Status.PENDING, Status.SCHEDULED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}
    ),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
}


REOPENINGS: Final[Mapping[Status, Status]] = {
    Status.FAILED: Status.PENDING,
    Status.CANCELLED: Status.PENDING,
    Status.EXPIRED: Status.PENDING,
}
"""What somebody may do by hand to a final task that did not complete: let it begin again. Nothing does it by itself."""


class CallbackEvent(StrEnum):
    """What a receiver may ask to be told besides a task's end."""

    RUNNING = "running"
    """A run of the task has begun."""
    PROGRESS = "progress"
    """Its handler said how far it is, and that was written."""


class CallbackState(StrEnum):
    """Where a task's callback is."""

    WAITING = "waiting"
    """The task is not final yet."""
    PENDING = "pending"
    """The task is final; the callback is on its way or between two tries."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    UNDELIVERED = "undelivered"
    """Given up; listed, and can be sent again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A JSON text, or where it is kept (claim check).

    ``text`` is None when the text lies in the blob store under ``blob_key``; ``size`` is its length in bytes of UTF-8.
    """

    text: str | None
    size: int
    blob_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorDetails:
    """Why an attempt or a task failed: the error's class name and its text."""

    type: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One ended try of the handler that did not complete the task."""

    number: int
    started_at: int
    finished_at: int
    error: ErrorDetails


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a running handler says it is: ``fraction`` from 0 to 1, and a sentence or None."""

    fraction: float
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackTry:
    """One try to deliver a callback: ``status_code`` is None where no answer came, ``error`` then says why."""

    number: int
    started_at: int
    duration_ms: int
    status_code: int | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """Whom to tell when the task is final, and how that went.

    ``tries`` counts the tries begun in its present schedule, ``earlier`` those before, by which a try has a number of
    its own. ``history`` keeps the last ones that ended, ``MAX_HISTORY`` at most, ``next_at`` is when the next is due.
    ``events`` are those to be told besides the end, ``told`` counts the progress that was announced. ``give_up_on_4xx``
    says whether an answer of 4xx ends it at once; None: as the installation says.
    """

    url: str
    state: CallbackState = CallbackState.WAITING
    tries: int = 0
    earlier: int = 0
    next_at: int | None = None
    history: tuple[CallbackTry, ...] = ()
    events: tuple[CallbackEvent, ...] = ()
    told: int = 0
    give_up_on_4xx: bool | None = None

    @property
    def number(self) -> int:
        """The number of the last try begun; it only grows."""
        return self.earlier + self.tries

    def begun_anew(self, state: CallbackState, next_at: int | None = None) -> "Callback":
        """At the beginning of its schedule; its tries are remembered."""
        known = max([self.number, *(one.number for one in self.history)])
        return replace(self, state=state, tries=0, earlier=known, next_at=next_at)

    def with_try(self, one: CallbackTry) -> "Callback":
        """With a try that has ended among the others, in the order in which they began."""
        history = sorted((*self.history, one), key=lambda known: known.number)
        return replace(self, history=tuple(history)[-MAX_HISTORY:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One piece of work, from its submission to its retention's end."""

    id: str
    """Opaque to callers: a time-ordered UUIDv7, or derived from the caller's idempotency key."""
    type: str
    """The name of its task type: which handler runs it."""
    status: Status
    payload: Document
    """The handler's input."""
    created_at: int
    """When the API accepted it."""
    timeout_seconds: int
    """How long one attempt may take."""
    max_attempts: int
    """How many attempts it gets in all."""
    attempts_each: int | None = None
    """Once it was retried by hand: how many attempts it gets each time; None: ``max_attempts``."""
    reopened_at: int | None = None
    """When it was last retried by hand."""
    priority: int = DEFAULT_PRIORITY
    """1 to 5, 5 first; decides its lane."""
    tenant: str = DEFAULT_TENANT
    """Whose task it is; the unit of fairness inside a lane."""
    retry: Mapping[str, Any] | None = None
    """What it changes of its type's retry policy: fields of ``RetryPolicy`` by name; None: nothing."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The caller's own words, kept and shown."""
    run_at: int | None = None
    """The next attempt must not start before; None: at once."""
    expires_at: int | None = None
    """Not started by then, it expires; None: never. What began in time may be retried and go on after it."""
    run: int = 0
    """The number of its present or last claim: the fence. Only the holder of the current run may write."""
    uncounted: int = 0
    """How many of its runs were no attempts: continuations, and starts that were put off."""
    continuations: int = 0
    """How often its handler asked to go on in a new run."""
    state: Document | None = None
    """What its handler wants to find again in its next run."""
    cancel_requested: bool = False
    """Somebody called it off while it was running; its worker has not answered yet."""
    line: str | None = None
    """The line it waits in (``tasklane.line``), named by what holds it back; None: nothing does."""
    throttle_keys: tuple[str, ...] = ()
    """Whose limits hold for it."""
    slots: tuple[str, ...] = ()
    """The keys towards whose limits its present run counts; given back in the write that ends the run."""
    reserved_at: int | None = None
    """The time slot of its next start, where a limit by rate gave it one."""
    reserved_on: int | None = None
    """When that was reserved."""
    reserved_first: int | None = None
    """The slot that it keeps by some of its rates, where the one by the others had to be a later one."""
    external: bool = False
    """External workers fetch it: its time come, it stands in a line for them instead of going down its lane."""
    ended_by: str | None = None
    """Which external worker's lease ended last by its own word: repeating that word is no error."""
    lease_id: str | None = None
    """Who wrote last, where that matters: tells a process its own write from another's when the answer was lost."""
    has_blobs: bool = False
    """Whether the blob store keeps something for it, to be removed with it."""
    lease_until: int | None = None
    """Until when the present run holds the task; then it is taken to be lost."""
    started_at: int | None = None
    """When the present or last run began; None: it has not begun, or not since it was retried by hand."""
    finished_at: int | None = None
    """When it became final."""
    progress: Progress | None = None
    """The handler's last word on how far it is."""
    result: Document | None = None
    """What the handler returned."""
    error: ErrorDetails | None = None
    """Why it failed; the full list is in ``attempts``."""
    attempts: tuple[Attempt, ...] = ()
    """The attempts that did not complete it, the oldest first, at most ``MAX_HISTORY``."""
    callback: Callback | None = None
    """None: nobody asked to be told."""
    due_at: int | None = None
    """When the sweeper must look at it if nothing happens before; None: never again."""
    sends: int = 0
    """How often the sweeper has sent it again; spreads its further looks."""
    request_hash: str | None = None
    """Digest of the submitted body, where an idempotency key came with it."""
    correlation_id: str | None = None
    """The caller's id for the request that submitted it, for the logs."""
    contract: str | None = None
    """The contract that it was submitted through, in whose words it answers; None: ``/v1``."""
    outcome_at: int | None = None
    """When it ended other than completed, or its callback was given up: keeps it in the index of failures."""
    delete_at: int | None = None
    """When its retention ends (Unix seconds, as the table's TTL wants it)."""

    def evolve(self, **changes: Any) -> "Task":
        """A copy with these fields changed."""
        return replace(self, **changes)

    @property
    def attempt(self) -> int:
        """The number of the present or last attempt; 0 before the first."""
        return self.run - self.uncounted

    @property
    def sequence(self) -> int:
        """The number of the last event that callbacks tell of it.

        Both terms only grow, in writes that are made anyway: one with each run, the other with each progress that is
        announced. So each event has a greater number than all before, over retries by hand too, and needs no counter of
        its own; between a run's end and the next run's beginning there is a number to spare, for the task's end.
        """
        told = self.callback.told if self.callback else 0
        return told + self.run + self.status.final

    @property
    def start_by(self) -> int | None:
        """When it expires if it still waits for its first attempt; None: it does not expire (any more)."""
        return self.expires_at if self.status.waiting and self.started_at is None else None

    def is_gone(self, now: int) -> bool:
        """True where its retention has ended: no reader sees it, though the table removes it up to two days later."""
        return self.delete_at is not None and self.delete_at * 1000 <= now

    def is_held(self, now: int) -> bool:
        """True while a run's lease lasts."""
        return self.status is Status.RUNNING and self.lease_until is not None and now < self.lease_until
