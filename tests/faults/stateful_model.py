"""The small model that the stateful test holds every write against: what a task has been, and what it may become."""

import base64
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from tasklane.line import is_pull, is_rate
from tasklane.ports import Change, Claim, Clock
from tasklane.task import REOPENINGS, TRANSITIONS, CallbackState, Document, Status, Task
from tasklane.timestamps import rfc3339
from tasklane.timing import MAX_DOUBLINGS, Timing
from tests.faults.stateful_lines import Judged
from tests.faults.stateful_restraints import Restraints
from tests.support.builders import SECRET

BOOKKEEPING: Final = frozenset({"callback", "due_at", "sends", "lease_id", "outcome_at", "delete_at"})
"""What may change in a final task: how its callback goes."""
SKEW_MS: Final = 30_000
"""How far the clock of a process may be off, either way."""

Request = Task | Claim | Change
"""What a store is asked to write."""


class Model:
    """Sees each write as it happens. What must not be is put down in ``wrong``: writes come from many threads."""

    def __init__(self, read: Callable[[Document], Any], timing: Timing, clock: Clock) -> None:
        self.tasks: dict[str, Task] = {}
        """Every task as it was last written, the first accepted first."""
        self.accepted: set[str] = set()
        """Those whose caller was told so."""
        self.latest = 0
        """The latest time that any process has seen."""
        self.wrong: list[str] = []
        self.restraints = Restraints(clock, self.tasks, self.must)
        self._read = read
        self._timing = timing
        self._numbers: dict[str, int] = {}
        self._next = count()
        self._lock = threading.Lock()
        self._begun: Counter[tuple[str, int]] = Counter()
        self._ended: Counter[tuple[str, int]] = Counter()
        self._ends: Counter[str] = Counter()
        self._told: dict[tuple[str, int], set[str]] = {}
        self._events: dict[tuple[str, int], dict[int, tuple[str, str]]] = {}
        self._delivered: set[tuple[str, int]] = set()

    def number(self, task_id: str) -> int:
        """A task's number: the same in every repetition of an example."""
        with self._lock:
            return self._numbers.setdefault(task_id, len(self._numbers))

    # -- what the processes do -----------------------------------------------------------------------------------------

    def begins(self, task_id: str, run: int) -> int:
        """A handler begins; how often one has begun the task before."""
        with self._lock:
            before = sum(times for (one, _), times in self._begun.items() if one == task_id)
            self._begun[task_id, run] += 1
            self.must(self._begun[task_id, run] == 1, f"run {run} of {task_id} began twice")
        return before

    def writes(self, after: Task, request: Request, judged: Judged) -> None:
        """A task is ``after`` now; ``request`` is what asked for it, whether it was refused or not."""
        with self._lock:
            before = self.tasks.get(after.id)
            self.tasks[after.id] = after
            if before is None or self._is_gone(before, request):
                self._forget(after.id)
                self.must(after.status.waiting and after.run == 0, f"{after} is not how a task starts")
            elif before != after:
                self._step(before, after, request)
                self.restraints.writes(before, after, request, judged)
            self._stands(after)

    def posts(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, int]:
        """A receiver is told of an event: the task, and which of its ends; 0 for what happened before an end."""
        content = json.loads(body)
        task_id, number = content["data"]["id"], content["sequence"]
        with self._lock:
            numbers = self._events.setdefault((task_id, 0), {})
            same = numbers.setdefault(number, (content["type"], headers["webhook-id"]))
            self.must(same == (content["type"], headers["webhook-id"]), f"two events of {task_id} are number {number}")
            if content["type"] in ("task.running", "task.progress"):
                self.must(number <= self.tasks[task_id].sequence, f"event {number} of {task_id} is still to come")
                self.must(_is_signed(body, headers), f"an event of {task_id} is not signed")
                return task_id, 0
            self.must(number == max(numbers), f"the end of {task_id} is number {number}, and before it were {numbers}")
            task, event = self.tasks[task_id], (task_id, self._ends[task_id])
            told = self._told.setdefault(event, set())
            told.add(headers["webhook-id"])
            others = [one for one, ids in self._told.items() if one != event and headers["webhook-id"] in ids]
            self.must(len(told) == 1, f"the tries of one event of {task_id} have the ids {told}")
            self.must(not others, f"two events have the id {headers['webhook-id']}")
            self.must(_is_signed(body, headers), f"a callback of {task_id} is not signed")
            self.must(content["type"] == f"task.{task.status}", f"{content['type']} was posted of {task}")
            self.must(content["timestamp"] == rfc3339(task.finished_at or 0), f"another time was posted of {task}")
        return event

    def answers(self, event: tuple[str, int], status_code: int) -> None:
        """The receiver answers."""
        if 200 <= status_code < 300:
            self._delivered.add(event)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _step(self, before: Task, after: Task, request: Request) -> None:
        step = f"{before.status} (run {before.run}) → {after.status} (run {after.run}) of {after.id}"
        by_hand = isinstance(request, Change) and request.by_hand
        asked_for = by_hand and (REOPENINGS.get(before.status) is after.status or after.status.waiting)
        forward = before.status is after.status or after.status in TRANSITIONS[before.status] or asked_for
        self.must(forward, f"backwards: {step}")
        self.must(after.run - before.run in (0, 1), f"the run jumps: {step}")
        begins = isinstance(request, Claim)
        another_slot = after.reserved_at and (after.reserved_at, after.reserved_on) != (
            before.reserved_at,
            before.reserved_on,
        )
        announced_anew = by_hand or (before.status.waiting and another_slot)
        self.must(begins or announced_anew or before.run == after.run, f"a run out of nothing: {step}")
        self.must(not begins or (before.status.waiting and after.status is Status.RUNNING), f"no claim: {step}")
        if isinstance(request, Change):
            self.must(request.before.run == before.run, f"written by another run than the present one: {step}")
        if before.status is Status.RUNNING and after.status is not before.status:
            self._ended[before.id, before.run] += 1
            self.must(self._ended[before.id, before.run] == 1, f"a second outcome: {step}")
        if before.status.final and after.status.final:
            changed = {name for name in Task.__slots__ if getattr(before, name) != getattr(after, name)}
            self.must(changed <= BOOKKEEPING, f"{changed} of a final task: {step}")
            self.must((after.delete_at or 0) >= (before.delete_at or 0), f"kept for a shorter time: {step}")
        self._callback_step(before, after, by_hand=by_hand)
        if after.status.final and not before.status.final:
            self._ends[after.id] += 1

    def _callback_step(self, before: Task, after: Task, *, by_hand: bool) -> None:
        if before.callback is None or after.callback is None or before.status is not after.status:
            return
        step = f"{before.callback} → {after.callback} of {after.id}"
        old, new = before.callback, after.callback
        self.must(old.state is new.state or old.state is CallbackState.PENDING or by_hand, f"backwards: {step}")
        self.must(new.tries - old.tries in (0, 1) or by_hand, f"the tries jump: {step}")

    def _is_gone(self, task: Task, request: Request) -> bool:
        """Whether its retention had ended when a new task took its id."""
        return isinstance(request, Task) and task.delete_at is not None and task.delete_at <= request.created_at // 1000

    def _forget(self, task_id: str) -> None:
        """What was noted of the last task with this id."""
        for counter in (self._begun, self._ended, self._told, self._events):
            for key in [key for key in counter if key[0] == task_id]:
                del counter[key]

    def _stands(self, task: Task) -> None:
        self.must(0 <= task.attempt <= task.max_attempts, f"too many attempts: {task}")
        later = task.status is Status.SCHEDULED or is_rate(task.line)
        self.must(later == (task.run_at is not None), f"for later, or not: {task}")
        self.must(task.reserved_at is None or task.run_at in (None, task.reserved_at), f"for another time: {task}")
        running = task.status is Status.RUNNING
        self.must(running == (task.lease_until is not None), f"a lease, or none: {task}")
        self.must(task.status.final == (task.finished_at is not None), f"an end, or none: {task}")
        self.must(task.status.final == (task.delete_at is not None), f"a retention, or none: {task}")
        self.must((task.status is Status.COMPLETED) == (task.result is not None), f"a result, or none: {task}")
        if task.result is not None:
            kept = self._read(task.result)
            # A late external worker's result is written by a run that is begun for it.
            mine = kept["run"] == task.run if not task.external else kept["token"] == task.ended_by
            self.must(mine, f"another run's result: {task}")
        self.must(not (task.cancel_requested and task.status.waiting), f"called off, and begins again: {task}")
        self._callback_stands(task)
        self._due_stands(task)

    def _callback_stands(self, task: Task) -> None:
        state = task.callback.state if task.callback else None
        if state is not None:
            self.must(task.status.final == (state is not CallbackState.WAITING), f"owed too early, or never: {task}")
        if state is CallbackState.DELIVERED:
            self.must((task.id, self._ends[task.id]) in self._delivered, f"nobody said 2xx: {task}")
        given_up = state is CallbackState.UNDELIVERED
        listed = task.status.final and (task.status is not Status.COMPLETED or given_up)
        self.must(listed == (task.outcome_at is not None), f"in the index of failures, or not: {task}")

    def _due_stands(self, task: Task) -> None:
        pending = task.callback is not None and task.callback.state is CallbackState.PENDING
        owed = not task.status.final or pending
        if is_pull(task.line) and task.start_by is None:
            owed = False  # an external worker finds it in its line, and nothing about that can get lost
        self.must(owed == (task.due_at is not None), f"forgotten, or looked after for nothing: {task}")
        next_at = task.callback.next_at if task.callback and pending else task.run_at
        next_at = task.start_by if is_pull(task.line) else next_at
        pause = self._timing.recovery_ms << min(task.sends, MAX_DOUBLINGS)
        latest = max(self.latest, next_at or 0, task.lease_until or 0) + pause
        self.must((task.due_at or 0) <= latest, f"looked after too late: {task}")

    def must(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def _is_signed(body: bytes, headers: Mapping[str, str]) -> bool:
    # The specification's own library refuses a time that is not the present, and here time is made up.
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")
