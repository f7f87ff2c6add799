"""The model's part about what keeps tasks from starting: pauses, limits, and who may not have heard of them yet."""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from tasklane.lease import ENDING_MS
from tasklane.line import lane_target, pause_line, rate_key, type_target
from tasklane.ports import Change, Claim, Clock
from tasklane.task import Status, Task
from tasklane.throttle import Limit
from tasklane.timing import lease_until
from tests.faults.stateful_lines import KEYS, Decided, Judged, Standing, Who

REMEMBERED_MS: Final = 5_000
"""For how long a process may go by what it has read."""
CLOCKS_MS: Final = 60_000
"""How far the clocks of two processes may be apart."""
AHEAD_MS: Final = 250
"""A time slot that is nearer than this may be given up for another one."""


class Restraints:
    """What is paused and limited, as it stands in the table, and what follows from it for each start."""

    def __init__(self, clock: Clock, tasks: Mapping[str, Task], must: Callable[[object, str], None]) -> None:
        self.freed: Counter[str] = Counter()
        """The keys whose slots were given back since somebody cleared this."""
        self.decided = Decided(clock, tasks)
        self.standing = Standing(self.decided, clock, tasks, must)
        self._clock = clock
        self._tasks = tasks
        self._must = must
        self._missed: dict[int, int] = {}
        """When a process last was refused an answer, or its clock was set: from then on it may go by the old."""
        self._sinces: Counter[str] = Counter()
        """Since when the last rate of a key holds, though it may have been removed."""
        self._starts: dict[str, list[int]] = {key: [] for key in KEYS}
        self._to_begin: set[tuple[str, int]] = set()
        """Runs that have been claimed, and whose handlers have not begun."""
        self._begins_at: dict[tuple[str, int], int] = {}
        self._kept: set[tuple[str, str]] = set()
        """Tasks and keys by which they may have kept an earlier slot than the one that they wait for."""

    # -- what people do, and what processes miss -----------------------------------------------------------------------

    def is_limited(self, key: str, limit: Limit | None) -> None:
        """A limit was set, or removed."""
        old = self.decided.is_limited(key, limit)
        self.standing.settled(key)
        if limit is None or old is None or old.rate != limit.rate:
            self._starts[key] = []
            if limit is not None:
                self._must(limit.since > self._sinces[key], f"{limit} makes slots hold that an earlier one gave")
        if limit is not None:
            self._sinces[key] = limit.since

    def has_no_gaps(self, key: str, limit: Limit) -> None:
        """Time slots behind given-up ones are void; the rate is what it was, and so are the starts that it counts."""
        self.decided.has_no_gaps(key, limit)
        self.standing.owes(key)
        self._sinces[key] = limit.since

    def misses(self, number: int) -> None:
        """A process did not hear what it asked for, or its clock was set."""
        self._missed[number] = self._clock.now()

    # -- what processes do ---------------------------------------------------------------------------------------------

    def judge(self, request: Task | Claim | Change, who: Who) -> Judged:
        """What a request comes to if it happens."""
        match request:
            case Claim():
                return self._judge_claim(request, who)
            case Change():
                return Judged(who=who, wrong=self._wrong_change(request, who), unsure=self.standing.is_unsure(request))
            case Task():
                return Judged(who=who)

    def writes(self, before: Task, after: Task, request: Task | Claim | Change, judged: Judged) -> None:
        """A request has happened."""
        step = f"{request} of process {judged.who.number} at {self._clock.now()}, for {before}"
        self._must(judged.wrong is None, f"{judged.wrong}: {step}")
        self._must(not after.slots or after.status is Status.RUNNING, f"slots without a run: {after}")
        self._must(after.reserved_at is None or after.status.waiting, f"a time slot of what does not wait: {after}")
        self._must(after.line is None or after.status.waiting, f"in a line without waiting: {after}")
        if isinstance(request, Claim):
            self._must(after.slots == request.takes, f"counts otherwise than it should: {step}")
            self._claimed(after, request, judged)
            self.standing.starts(before, request, judged.who)
        if after.reserved_at not in (None, before.reserved_at):
            self._gets_a_slot(before, after)
        self.freed.update(key for key in before.slots if key not in after.slots)
        if after.line != before.line:
            self.standing.moves(before, after, request, judged)

    def reserves(self, key: str, count: int, now: int) -> None:
        """A process asks for so many time slots."""
        wanting = [
            task
            for task in self._tasks.values()
            if task.status.waiting and key in task.throttle_keys and not self._has_slot(task, now)
        ]
        wanting += [
            task for task in self._tasks.values() if (task.id, task.run) in self._to_begin and key in task.throttle_keys
        ]
        self._must(count <= len(wanting), f"{count} time slots of {key} for {len(wanting)} tasks: {wanting}")

    def starts_handler(self, task: Task, at: int) -> None:
        """A handler is to begin at this time, by its process' clock."""
        self._to_begin.discard((task.id, task.run))
        start = self._begins_at.pop((task.id, task.run), 0)
        self._must(at >= start, f"{task} begins at {at}, {start - at} ms before its time slot")

    # -- judgements ----------------------------------------------------------------------------------------------------

    def _judge_claim(self, claim: Claim, who: Who) -> Judged:
        message = claim.message
        if message.external and (who.held_since is not None or claim.lease_until - claim.now == ENDING_MS):
            return Judged(who=who)  # it was admitted some steps ago; or a late worker has its work written down
        wrong = None
        for target in (lane_target(message.priority), type_target(message.type)):
            if target in self.decided.paused and self._has_heard(who, self.decided.paused[target]):
                wrong = f"{target} is paused since {self.decided.paused[target]}"
        known = {
            key: self.decided.limits[key]
            for key in message.keys
            if key in self.decided.limits and self._has_heard(who, self.decided.changed[key])
        }
        for key, limit in known.items():
            if limit.max_concurrent is not None and key not in claim.takes:
                wrong = f"does not count towards {key}"
            if _is_early(claim, limit):
                wrong = f"begins before its time slot at {message.reserved_at}"
        slots = {key: self._slot(claim, limit) for key, limit in known.items()}
        found = {key: slot for key, slot in slots.items() if slot is not None}
        return Judged(who=who, wrong=wrong, slots=found, since={key: self.decided.limits[key].since for key in found})

    def _slot(self, claim: Claim, limit: Limit) -> int | None:
        """The time slot of a start by this limit; None: it has none, or one of which nobody can say by which rate."""
        if limit.rate is None or (claim.message.task_id, limit.key) in self._kept:
            return None
        task = self._tasks.get(claim.message.task_id)
        for one in (claim.message, task):
            if one is not None and one.reserved_at is not None and one.reserved_on is not None:
                late = claim.now - one.reserved_at
                if late <= limit.rate.tolerance_ms and limit.honours(one.reserved_at, one.reserved_on):
                    return None if one.reserved_on < limit.since + CLOCKS_MS else one.reserved_at
        return _begin(claim)

    def _gets_a_slot(self, before: Task, after: Task) -> None:
        """A start may be a little late: so late, a task may keep the slot that it has by some of its keys."""
        at, on = before.reserved_at or 0, before.reserved_on or 0
        for key in after.throttle_keys:
            limit = self.decided.limits.get(key)
            rate = None if limit is None or not limit.honours(at, on) else limit.rate
            may = rate is not None and at <= (after.reserved_at or 0) <= at + rate.tolerance_ms
            (self._kept.add if may else self._kept.discard)((after.id, key))

    def _wrong_change(self, change: Change, who: Who) -> str | None:
        before, after = change.before, change.after
        if who.held_since is not None or change.by_hand or not after.status.waiting:
            return None
        targets = (lane_target(before.priority), type_target(before.type))
        first = next((target for target in targets if target in self.decided.paused), None)
        stands = first is not None and before.line == pause_line(first) != after.line
        if stands and first is not None and self._has_heard(who, self.decided.paused[first]):
            return f"let go, though {first} is paused since {self.decided.paused[first]}"
        new_slot = after.reserved_at not in (None, before.reserved_at)
        rated = rate_key(before.line or "")
        is_over = rated is not None and (rated not in self.decided.limits or not self.decided.limits[rated].rate)
        if new_slot and not is_over and self._has_slot(before, who.clock.now()):
            return "gets another time slot, though it has one"
        return None

    def _has_slot(self, task: Task, now: int) -> bool:
        """Whether a task certainly has a time slot."""
        if task.reserved_at is None or task.reserved_on is None:
            return False
        limits = [self.decided.limits[key] for key in task.throttle_keys if key in self.decided.limits]
        settled = all(self._clock.now() - self.decided.changed[key] >= REMEMBERED_MS for key in self.decided.changed)
        return settled and all(
            limit.honours(task.reserved_at, task.reserved_on)
            and now + AHEAD_MS - task.reserved_at <= limit.rate.tolerance_ms
            for limit in limits
            if limit.rate is not None
        )

    def _claimed(self, task: Task, claim: Claim, judged: Judged) -> None:
        begin = _begin(claim)
        self._to_begin.add((task.id, task.run))
        if begin > claim.now and not task.external:
            self._begins_at[task.id, task.run] = begin
        for key in task.slots:
            limit = self.decided.limits.get(key)
            if limit is not None and limit.max_concurrent is not None:
                used = self.decided.used(key)
                self._must(used <= limit.max_concurrent, f"{used} run at once by {limit}, with {task}")
        for key, slot in judged.slots.items():
            if key in self.decided.limits and self.decided.limits[key].since == judged.since[key]:
                insort(self._starts[key], slot)
                self._keeps_rate(self.decided.limits[key])

    def _keeps_rate(self, limit: Limit) -> None:
        starts, rate = self._starts[limit.key], limit.rate
        for first, begin in enumerate(starts):
            for last, end in enumerate(starts[first:], first):
                most = rate.burst + (end - begin + 1) * rate.count // rate.period_ms if rate else last + 1
                self._must(last - first < most, f"{starts[first : last + 1]} are too many starts by {limit}")

    def _has_heard(self, who: Who, since: int) -> bool:
        """Whether a process must know by now what holds since then."""
        return self._clock.now() - max(since, self._missed.get(who.number, 0)) >= REMEMBERED_MS


def _is_early(claim: Claim, limit: Limit) -> bool:
    """Whether a start comes before the time slot that its message tells of."""
    at, on = claim.message.reserved_at or 0, claim.message.reserved_on or 0
    return limit.rate is not None and limit.honours(at, on) and _begin(claim) < at


def _begin(claim: Claim) -> int:
    """When the run of a claim is to begin: its lease is longer by as much as its worker waits for its time slot."""
    return claim.lease_until - lease_until(claim.message.timeout_seconds, claim.now) + claim.now
