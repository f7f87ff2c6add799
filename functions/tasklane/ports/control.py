"""What keeps the decisions of people about the whole installation: pauses, limits, declared task types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tasklane.declaration import Declaration
from tasklane.throttle import Limit, LimitState
from tasklane.timetable import Changed, Full, Granted, SlotRequest

KEYS_TOGETHER: Final = 100
"""Keys of one call by whose rates time slots are reserved together: what a transaction of the table takes."""


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

    def put_limit(self, limit: Limit, *, before: Limit | None) -> bool:
        """Keep a limit in the place of ``before``, which was read; None: there was none. Raises Unavailable.

        With another rate the time slots that were reserved are forgotten, with the same one ``since`` and what is kept
        stay as they are. False: nothing was kept, since somebody else has set another rate meanwhile; or since there
        was one once whose ``since`` is not earlier: time slots by it would hold.
        """

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

    def reserve_together(
        self, limits: Mapping[str, Limit], requests: Sequence[SlotRequest]
    ) -> list[Granted | Full | Changed]:
        """A time slot for each of these by all its keys, in order: taken by all together, or by none.

        ``limits`` has the limit by rate of each key; all are ``KEYS_TOGETHER`` at most. Raises Unavailable.
        """

    def give_up(self, key: str, count: int) -> None:
        """Count so many reserved time slots of ``key`` that nobody will use. Nothing where it has no limit by rate.

        Raises Unavailable.
        """

    def close_gaps(self, limit: Limit, now: int) -> Limit | None:
        """Reserve anew: time slots after ``limit.kept_until``, which is in the future, are void ``now``.

        Those that were void already stay so. The limit as it is then.
        None: the rate is another by now (``since`` tells), or there is none. Raises Unavailable.
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
