"""The model's part about lines: who stands there, and who has to see to it that he does not for too long."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tasklane.line import limit_key, limit_line, rank, rate_line
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Change, Claim, Clock
from tasklane.task import Task
from tasklane.throttle import Limit

KEYS: Final = ("one", "two")
"""What tasks of the stateful test may be limited by."""
KNOWN_SECONDS: Final = 1.0
"""For how long a process may go by what it has read of a line."""
SURE_MS: Final = 100_000
"""A process that took longer than this between noting and joining a line may have been overlooked."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """A process that asks for a write. ``held_since`` is when it was begun, where others go on between its steps."""

    number: int
    clock: Clock
    held_since: int | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What there is to say of a request when its process decides on it; it counts once it has happened.

    ``slots``: the time slot that a start takes, by the key with whose rate it has to do; ``since`` is that rate's.
    """

    who: Who
    wrong: str | None = None
    slots: Mapping[str, int] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)
    unsure: bool = False
    """Whoever joins a line by this may stand there unnoticed until he falls due."""


class Decided:
    """What is paused and limited, as it stands in the table."""

    def __init__(self, clock: Clock, tasks: Mapping[str, Task]) -> None:
        self.paused: dict[str, int] = {}
        """Since when."""
        self.limits: dict[str, Limit] = {}
        self.changed: dict[str, int] = {}
        """When a key's limit was last set or removed."""
        self.faster: set[str] = set()
        """Keys whose rate was raised."""
        self._clock = clock
        self._tasks = tasks

    def is_paused(self, target: str, *, paused: bool) -> None:
        """A pause has begun, or is over."""
        if paused:
            self.paused.setdefault(target, self._clock.now())
        else:
            self.paused.pop(target, None)

    def is_limited(self, key: str, limit: Limit | None) -> Limit | None:
        """A limit was set, or removed; what held before."""
        old, self.changed[key] = self.limits.pop(key, None), self._clock.now()
        (self.faster.add if _is_faster(old, limit) else self.faster.discard)(key)
        if limit is not None:
            self.limits[key] = limit
        return old

    def has_no_gaps(self, key: str, limit: Limit) -> None:
        """Time slots behind given-up ones are void; who has one is to get another at once, as by a higher rate."""
        self.limits[key], self.changed[key] = limit, self._clock.now()
        self.faster.add(key)

    def used(self, key: str) -> int:
        """How many runs count towards a key."""
        return sum(key in task.slots for task in self._tasks.values())

    def room(self, key: str) -> int | None:
        """How many more runs a key has room for; None: any number."""
        most = self.limits[key].max_concurrent if key in self.limits else None
        return None if most is None else max(0, most - self.used(key))


class Standing:
    """Who stands in which line."""

    def __init__(
        self, decided: Decided, clock: Clock, tasks: Mapping[str, Task], must: Callable[[object, str], None]
    ) -> None:
        self._decided = decided
        self._clock = clock
        self._tasks = tasks
        self._must = must
        self._unsure: set[str] = set()
        """Tasks that may stand in their line without anybody knowing, until they fall due."""
        self._joined: set[str] = set()
        """Tasks that have changed their line since a worker began."""
        self._woken: dict[str, Who] = {}
        """Who has just let a task go from the line of a limit, and is about to send it."""
        self._called: Counter[str] = Counter()
        """How often somebody was told of a free slot of a key, since a worker or a sweep began."""
        self._joined_at: dict[str, float] = {}
        """When tasks joined the lines of limits, by the seconds of ``monotonic``."""
        self._shown_since = 0.0
        """Since when the indexes show everything."""
        self.monotonic: Callable[[], float] = lambda: 0.0
        self._owed: dict[str, int] = {}
        """Since when a sweep has to let tasks go whose time slots are void."""
        self._lags = False

    def lags(self, lags: bool) -> None:  # noqa: FBT001 - the only thing that it is told
        """Whether the indexes lag behind: whoever stands in a line then may be overlooked until he falls due."""
        self._lags = lags
        self._shown_since = self.monotonic()
        self._unsure |= {task.id for task in self._tasks.values() if task.line is not None}

    def moves(self, before: Task, after: Task, request: Task | Claim | Change, judged: Judged) -> None:
        """A task is in another line now, or in none."""
        self._woken.pop(after.id, None)
        self._joined.add(after.id)
        self._joined_at[after.id] = self.monotonic()
        if after.line is None and limit_key(before.line or "") and _lets_go(request):
            self._woken[after.id] = judged.who
        (self._unsure.add if self._joins_unsure(after, judged) else self._unsure.discard)(after.id)

    def sends(self, messages: Sequence[TaskMessage | CallbackMessage], who: Who) -> None:
        """A process sends these: whom it has let go need not ask who else stands in that line."""
        for message in messages:
            if not isinstance(message, TaskMessage):
                continue
            if message.free_slot is not None:
                self._called[message.free_slot] += 1
            elif self._woken.pop(message.task_id, None) is who:
                self._must(message.woken, f"let go from the line of a limit, and to stand there again: {message}")

    def starts(self, before: Task, claim: Claim, who: Who) -> None:
        """A run begins: the first in line before those behind him, and newcomers after all of them.

        A process may go for a second by what it knows of a line. What has expired is nobody's concern any more.
        """
        moment, mine = self.monotonic() - KNOWN_SECONDS, limit_key(before.line or "")
        if who.held_since is not None or self._lags or moment < self._shown_since:
            return
        if mine is None and claim.message.woken is not None:
            return  # it stood there, and was sent on its own
        for key in claim.takes if mine is None else {mine} & set(claim.takes):
            first = [
                task
                for task in self._tasks.values()
                if task.line == limit_line(key)
                and task.start_by is None
                and self._joined_at[task.id] < moment
                and (mine is None or rank(task) < rank(before))
            ]
            self._must(not first, f"{before} takes a place of {key} before {first}")

    def everybody(self) -> Counter[str]:
        """How many stand in each line."""
        return Counter(task.line for task in self._tasks.values() if task.line is not None)

    def swept(self, before: Counter[str], sure: Counter[str], room: Mapping[str, int | None]) -> None:
        """A sweep is over, with nothing gone wrong; how many stood in each line before, and what had room."""
        if self._lags:
            return
        after, left = self.everybody(), self.sure()
        for line in sure:
            key = limit_key(line)
            if key is not None:
                has_room = room[key]
                if has_room is None:
                    self._must(not after[line], f"{after[line]} stand in {line} after a sweep, {before[line]} before")
                else:
                    called, most = self._called[key], min(has_room, sure[line])
                    self._must(called >= most, f"{called} of {most} in {line} were told of a slot by a sweep")
            elif line.startswith("pause:"):
                self._must(not self._is_over(line) or not left[line], f"{left[line]} stand in {line} after a sweep")

        for key, since in list(self._owed.items()):
            del self._owed[key]
            late = not 0 <= self._clock.now() - since < SURE_MS
            void = [task for task in self._tasks.values() if task.line == rate_line(key) and self._is_void(task, key)]
            self._must(late or not void, f"by a rate of {key} that holds no more, after a sweep: {void}")

    def owes(self, key: str) -> None:
        """Somebody has changed a limit: the next sweep at the latest sees to those whose time slots are void."""
        self._owed[key] = self._clock.now()

    def is_let_go(self, line: str) -> None:
        """Nothing keeps anybody in a line any more, and whoever saw to that had time for them all."""
        self._must(self._lags or not self.everybody()[line], f"{self.everybody()[line]} still stand in {line}")

    def _is_over(self, line: str | None) -> bool:
        return (line or "").startswith("pause:") and (line or "").removeprefix("pause:") not in self._decided.paused

    def settled(self, key: str) -> None:
        """A limit is another once more: what was owed by the one before is void."""
        self._owed.pop(key, None)

    def begins_work(self) -> None:
        """A worker, or a sweep, begins."""
        self._joined.clear()
        self._called.clear()

    def worked(self, freed: Collection[str]) -> None:
        """A worker is done, with nothing gone wrong: for each slot that it freed somebody else has had a go.

        And what it has made to stand in the line of a pause is not left there if that is over.
        """
        if self._lags:
            return
        for task_id in self._joined:
            self._must(not self._is_over(self._tasks[task_id].line), f"held by nothing: {self._tasks[task_id]}")
        left = self.sure()
        for key in freed:
            room, waiting = self._decided.room(key), left[limit_line(key)]
            waits = [task for task in self._tasks.values() if task.status.waiting and key in task.throttle_keys]
            sent = sum(task.line is None for task in waits)
            sent += self._called[key]
            taken = room is not None and room <= sent  # by such as are on their way to a worker with more time
            self._must(taken or not waiting, f"{waiting} still wait for {key}, which has room for {room}")

    def sure(self) -> Counter[str]:
        """As ``everybody``, without those of whom nobody may know."""
        lines = [task.line for task in self._tasks.values() if task.line is not None and task.id not in self._unsure]
        return Counter(lines)

    def _is_void(self, task: Task, key: str) -> bool:
        limit = self._decided.limits.get(key)
        holds = limit is not None and limit.honours(task.reserved_at or 0, task.reserved_on or 0)
        void = limit is None or (key in self._decided.faster and not holds)
        return void and task.id not in self._unsure

    def is_unsure(self, change: Change) -> bool:
        """Whether who joins a line by this may be overlooked there."""
        return self._is_over(change.after.line)

    def _joins_unsure(self, after: Task, judged: Judged) -> bool:
        if judged.unsure or after.line is None:
            return judged.unsure
        if self._lags:
            return True
        if judged.who.held_since is None:
            return False
        took = self._clock.now() - judged.who.held_since
        return self._is_over(after.line) or not 0 <= took < SURE_MS


def _is_faster(old: Limit | None, new: Limit | None) -> bool:
    if old is None or old.rate is None:
        return False
    return new is None or new.rate is None or new.rate.interval_us < old.rate.interval_us


def _lets_go(request: Task | Claim | Change) -> bool:
    return isinstance(request, Change) and request.after.status.waiting and not request.by_hand
