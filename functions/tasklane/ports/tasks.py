"""What keeps the tasks, and the writes that it takes: every one is conditional."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tasklane.errors import InvalidTransition, Unavailable
from tasklane.message import TaskMessage
from tasklane.task import REOPENINGS, TRANSITIONS, Task


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
    starts_at: int | None = None
    """When its handler starts, where that is later: a time slot is waited for in the worker."""

    @property
    def started_at(self) -> int:
        """What the record says of the start."""
        return self.now if self.starts_at is None else max(self.now, self.starts_at)


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

    @property
    def gives_back(self) -> list[str]:
        """The keys whose limits have one more free slot when this is written."""
        return [key for key in self.before.slots if key not in self.after.slots]


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
        """Begin runs. None: refused, because the task is gone, not waiting, or past that run (a doubled message).

        Contended: not begun for sure, because others took the same limits at the same time.
        """

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
