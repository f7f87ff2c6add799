"""What the use cases need from the world, named by role. Adapters in ``tasklane.adapters`` provide it.

Stores and queues speak in batches; one is a batch of one. An answer has one entry per request, in the same order.
``Unavailable`` as an entry means that this one request was refused or not answered: it may or may not have happened,
so every request here is safe to repeat. Where a whole batch fails, every entry is ``Unavailable``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasklane.declaration import Declaration
from tasklane.errors import ConfigurationError, InvalidTransition, Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.task import REOPENINGS, TRANSITIONS, Task
from tasklane.throttle import Limit, LimitState


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A worker's wish to start the run that ``message`` announces.

    ``lease_until`` is when the run is taken to be lost. ``due_at`` is written only where it is not None: an index entry
    that need not move costs nothing.
    """

    message: TaskMessage
    now: int
    lease_id: str
    lease_until: int
    due_at: int | None = None
    known: Task | None = None
    """The record, where the caller has just read it: a claim with limits need not read it again."""
    takes: tuple[str, ...] = ()
    """The keys towards whose limits the run is to count: all of them have room, or it does not begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """As an answer to a claim: the limit of ``key`` has no room."""

    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One conditional write: the record becomes ``after`` if ``unchanged`` fields still are as in ``before``.

    A run that ends gives back what it counted towards in the same write: what ``before.slots`` has and ``after`` not.

    Raises InvalidTransition where the statuses are not neighbours in ``task.TRANSITIONS``.
    """

    before: Task
    after: Task
    unchanged: tuple[str, ...] = ("status", "run")
    by_hand: bool = False
    """Somebody asked for it: ``task.REOPENINGS`` are allowed as well, and to put off what is pending."""

    def __post_init__(self) -> None:
        before, after = self.before.status, self.after.status
        asked_for = self.by_hand and (REOPENINGS.get(before) is after or (before.waiting and after.waiting))
        if after is not before and after not in TRANSITIONS[before] and not asked_for:
            raise InvalidTransition(f"{before} → {after} is not a transition (task {self.before.id})")
        if self.before.id != self.after.id:
            raise ValueError("a change keeps the task's id")


class TaskStore(Protocol):
    """Keeps the tasks; every write is conditional."""

    shards: Sequence[str]
    """The parts of the ``due`` index; together they cover every task."""

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        """Store new tasks. An entry is the task as stored: another than was given where its id was taken before.

        The id of a task whose retention had ended when the new one was created is free, removed or not.
        """

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """The tasks that exist, by id, as of the last write. Raises Unavailable."""

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        """Begin runs. None: refused, because the task is gone, not waiting, or past that run (a doubled message)."""

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        """Write changes. False: refused, as somebody else changed the task first. Repeating a written one is True."""

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        """As ``save``, for runs that go on: an entry is the task as it is afterwards. None: the run is lost."""

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        """Forget tasks. False: refused, as its status, its run or its callback is another by now. Gone already is True.

        What the blob store keeps for them goes by itself, some time later.
        """

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        """Ids of at most ``limit`` tasks whose ``due_at`` is not after ``until``, the longest due first.

        May lag behind the last writes. Raises Unavailable.
        """

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """``created_at`` and id of at most ``limit`` tasks, from ``start`` on: backwards if ``newest``, else forwards.

        May lag behind the last writes. Raises Unavailable.
        """

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """As ``recent``, for ``outcome_at``: only of tasks that have one.

        May lag behind the last writes. Raises Unavailable.
        """

    def in_line(self, line: str, limit: int) -> list[str]:
        """Ids of the first ``limit`` tasks in a line: the highest priority first, then first come, first served.

        ``line.EVERY_PULL`` names all lines of external tasks taken as one.

        May lag behind the last writes. Raises Unavailable.
        """

    def check(self) -> None:
        """Raises Unavailable if the store does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """That the tasks of a lane or of a task type are not started.

    ``target`` is named as in ``tasklane.line``. ``resumed_at`` None: it lasts; otherwise it is over, but there may
    still be tasks in its line.
    """

    target: str
    since: int
    resumed_at: int | None = None


class ControlStore(Protocol):
    """Keeps what people decide about the whole installation. Reads are as of the last write."""

    def pauses(self) -> list[Pause]:
        """All of them. Raises Unavailable."""

    def put_pause(self, pause: Pause) -> Pause:
        """Begin a pause; the one that lasts already, if one does. Raises Unavailable."""

    def end_pause(self, target: str, now: int) -> Pause | None:
        """Mark a pause as resumed; None where there is none. Raises Unavailable."""

    def put_limit(self, limit: Limit, *, restart: bool) -> None:
        """Keep a limit; ``restart`` forgets the time slots that were reserved. Raises Unavailable."""

    def remove_limit(self, key: str) -> None:
        """Limit ``key`` no longer; what counts towards it goes on to be counted. Raises Unavailable."""

    def limits(self, keys: Sequence[str]) -> dict[str, LimitState]:
        """The limits that there are among these, by key, as of the last write. Raises Unavailable."""

    def limit_keys(self, start: str | None, count: int) -> list[str]:
        """At most ``count`` limited keys in their order, those after ``start``. Raises Unavailable."""

    def reserve(self, limit: Limit, now: int, count: int) -> list[int] | None:
        """The next ``count`` time slots of a limit by rate (Unix milliseconds). Raises Unavailable.

        None: the rate is another by now (``since`` tells), or there is none.
        """

    def note_waiting(self, key: str, until: int) -> None:
        """Note that somebody waits for ``key`` to have room, and that it is to be looked after ``until`` at least.

        Raises Unavailable.
        """

    def waited_for(self) -> dict[str, int]:
        """The keys that were noted, and until when they are. Raises Unavailable."""

    def forget_waiting(self, key: str, until: int) -> None:
        """Nobody waits for ``key`` any more; void where it has been noted for longer. Raises Unavailable."""

    def forget_pause(self, pause: Pause) -> bool:
        """Remove a pause that is over; False where it has begun again. Raises Unavailable."""

    def declaration(self, name: str) -> Declaration | None:
        """The task type that was declared under that name. Raises Unavailable."""

    def declarations(self, start: str | None, limit: int) -> list[Declaration]:
        """At most ``limit`` of them in the order of their names (as UTF-8), those after ``start``. Raises Unavailable.

        May lag behind the last writes.
        """

    def declare(self, declaration: Declaration, *, replace: bool) -> Declaration:
        """Keep a declaration; without ``replace`` an earlier one stands, and is given. Raises Unavailable."""


class TaskQueue(Protocol):
    """Carries messages down the lanes."""

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        """Send each down the lane of its priority, to arrive at its ``run_at`` (15 minutes off at most)."""

    def check(self) -> None:
        """Raises Unavailable if a lane does not answer."""


class CallbackQueue(Protocol):
    """Carries messages to the callback function."""

    def send(self, messages: Sequence[CallbackMessage]) -> list[Unavailable | None]:
        """Send each, to arrive at its ``send_at`` (15 minutes off at most)."""

    def check(self) -> None:
        """Raises Unavailable if the queue does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One received message: its body as it came, and the handle to acknowledge it by."""

    handle: str
    body: str
    message_id: str = ""


class MessageSource(Protocol):
    """Hands out messages where no event source mapping does: the poller's side of a queue."""

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """At most ``limit`` messages of a lane (1 to 5; 0 is the callback queue); waits for the first.

        Raises Unavailable.
        """

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """Forget these messages. One that could not be forgotten comes again. Raises Unavailable."""

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """Let these messages be received again after a pause. Raises Unavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """About how many messages a queue holds: those that may be received, those for later, those that somebody has.

    ``dead_letters`` counts what it gave up: all that lies in its dead-letter queue.
    """

    waiting: int
    delayed: int
    in_flight: int
    dead_letters: int


class QueueDepths(Protocol):
    """Knows how full the queues are."""

    def depths(self, lanes: Sequence[int]) -> list[Depth]:
        """One entry per lane (1 to 5; 0 is the callback queue), right within a minute or so. Raises Unavailable."""


class BlobStore(Protocol):
    """Keeps what is too large for a record."""

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Keep ``content`` under ``key``, replacing what was there. Raises Unavailable."""

    def get(self, key: str) -> bytes | None:
        """The content, or None where nothing is kept under ``key``. Raises Unavailable."""

    def url(self, key: str, seconds: int) -> str:
        """An address at which anybody who knows it may read the content for so many seconds from now.

        By the clock of whoever keeps the content; and no longer than the rights last of who asks for it. Nothing is
        looked up: where nothing is kept under ``key``, there is nothing at the address. Raises Unavailable.
        """

    def delete_all(self, prefix: str) -> None:
        """Forget every key that begins with ``prefix``. Raises Unavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """What a receiver answered: ``headers`` in lower case, ``body`` cut to the cap."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class CallbackSender(Protocol):
    """Posts callbacks to public addresses; follows no redirect and no proxy variable."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """POST ``body``. Raises AddressRefused where the outbound guard says no, Unavailable where no answer came."""


class Downloader(Protocol):
    """Fetches from public addresses; follows redirects, each checked like the first address."""

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        """GET ``url``, its body whole.

        Raises AddressRefused where the outbound guard says no, NonRetryable where the body is over ``max_bytes``,
        Unavailable where no whole answer came in time.
        """


class Outbound(CallbackSender, Downloader, Protocol):
    """Everything that leaves for public addresses."""


class Mailer(Protocol):
    """Sends mail from the installation's own address."""

    def send(self, to: str, subject: str, body: str) -> str:
        """Send a mail in plain text; the mail service's name for it.

        Raises MailRefused where it will never be sent, Unavailable where it may be later (throttling, no answer). One
        whose answer was lost may have been sent.
        """


class SigningSecrets(Protocol):
    """Knows the secrets that callbacks are signed with: a tenant's own or, where it has none, the installation's."""

    def current(self, tenants: Collection[str]) -> Mapping[str, Sequence[str] | Unavailable | ConfigurationError]:
        """The live ``whsec_`` secrets of each tenant, newest first, one or two; or why they cannot be had.

        Never raises. Secrets of its own that make no sense are an error: the installation's would be wrong ones.
        """


class Clock(Protocol):
    """Tells the time, so that tests may tell it otherwise."""

    def now(self) -> int:
        """Unix milliseconds."""
