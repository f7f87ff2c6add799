"""Brings announced tasks to their claims: what may not start now is seen to, the rest is claimed in one request."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tasklane import timing
from tasklane.admission import Admission
from tasklane.errors import Contended, Unavailable
from tasklane.gate import Gate
from tasklane.ids import new_lease_id
from tasklane.limiter import Limiter, Plan, Start
from tasklane.line import limit_key, limit_line
from tasklane.lines import Lines
from tasklane.message import TaskMessage
from tasklane.ports import Blocked, CallbackQueue, Claim, Clock, ControlStore, TaskQueue, TaskStore
from tasklane.release import Release
from tasklane.standing import Standing
from tasklane.task import Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

AGAIN_MS: Final = 5_000
"""How much later somebody tries to take the first in line where the table did not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A task in this worker's hands; its handler starts ``at`` that time (Unix milliseconds), or at once."""

    task: Task
    at: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimings:
    """What became of a batch of messages: claimed, to be announced again, refused (doubled or late).

    ``contended`` of those that are unhandled need not wait until then: others were faster at their limits, that is all.
    """

    claimed: tuple[Claimed, ...] = ()
    unhandled: frozenset[TaskMessage] = frozenset()
    contended: frozenset[TaskMessage] = frozenset()
    refused: int = 0
    waited_for: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The keys whose limits had no room, and who waits for them: most have just joined the line."""


class Claims:
    """Claims tasks, within what is paused and what is limited."""

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        control: ControlStore,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._store = store
        self._control = control
        self._clock = clock
        self._timing = timing
        self._lines = Lines(store=store, queue=queue, control=control, clock=clock, timing=timing)
        self._standing = Standing(store=store)
        self._gate = Gate(control=control, clock=clock)
        self._limiter = Limiter(control=control, store=store, clock=clock)
        self._admission = Admission(
            store=store,
            queue=queue,
            callback_queue=callback_queue,
            control=control,
            gate=self._gate,
            lines=self._lines,
            release=Release(store=store, queue=queue, control=control, clock=clock, timing=timing),
            clock=clock,
            timing=timing,
        )

    def of(self, messages: Sequence[TaskMessage], known: Task | None = None) -> Claimings:
        """Claim the tasks that ``messages`` announce, as far as they may start now.

        ``known``: the record of the only one, which stands in a line.
        """
        admitted = self._admission(messages)
        return self._claim(self._limiter.plan(admitted.startable), admitted.unhandled, known)

    def next_in_line(self, key: str, room: int, seconds: float, joined: Sequence[str] = ()) -> tuple[Claimed, ...]:
        """Claim at most ``room`` of those that wait for the limit of ``key``, the first in line first.

        ``joined`` are those that have just joined it: the index may not know of them yet.

        Where the first needs more than ``seconds``, somebody else is told of the slot. One that should run alone goes
        over its lane, one that waits for another key too to that key's line. What cannot be asked is left to the
        sweeper.
        """
        found: list[Claimed] = []
        with suppress(Unavailable):
            for task in self._standing.first(key, room, joined):
                message = TaskMessage.woken_up(task)
                if self._gate.line_for(task.type, task.priority) is not None:
                    self._gate.look_again()  # a pause that is over must not cost it its turn
                if message.lost or message.timeout_seconds > seconds:
                    if not self._has_room(key):
                        self._standing.forget(key)
                        break  # sent all the same, it would come back here, and be sent again, without end
                    if not message.lost:
                        self._standing.forget(key)
                        self._lines.call(key, [task] * room)
                        break
                    self._lines.send_first(key, task.id)
                    room -= 1
                else:
                    claimings = self.of([message], known=task)
                    found += claimings.claimed
                    room -= len(claimings.claimed)
                    if claimings.refused:
                        self._standing.taken(key)
                    if key in claimings.waited_for:
                        self._standing.forget(key)
                        break  # it stands where it stood: there is no more room
                    if message in claimings.unhandled:
                        self._standing.forget(key)
                        soon = None if message in claimings.contended else self._clock.now() + AGAIN_MS
                        self._lines.call(key, [task] * room, soon)
                        break
                if room <= 0:
                    break
        return tuple(found)

    def wake(self, key: str, room: int) -> None:
        """As ``next_in_line``, but whoever has time for it is told of the slots."""
        with suppress(Unavailable):
            self._lines.wake(key, room)

    def _has_room(self, key: str) -> bool:
        state = self._control.limits([key]).get(key)
        return state is None or state.room is None or state.room > 0

    def _claim(self, plan: Plan, unhandled: frozenset[TaskMessage], known: Task | None) -> Claimings:
        now = self._clock.now()
        answers = self._store.claim([self._wish(start, now, known) for start in plan.starts]) if plan.starts else []
        pairs = list(zip(plan.starts, answers, strict=True))
        behind = plan.behind | {s.message: limit_line(a.key) for s, a in pairs if isinstance(a, Blocked)}
        again = {*unhandled, *plan.unhandled, *(s.message for s, a in pairs if isinstance(a, Unavailable))}
        joining = {message: line for message, line in behind.items() if known is None or line != known.line}
        if joining:
            again |= self._lines.hold(joining)
        if plan.later:
            again |= self._lines.put_off(plan.later, plan.tasks)
        claimed = {answer.id: answer for answer in answers if isinstance(answer, Task)}
        if any(start.at is not None for start in plan.starts):
            self._limiter.claimed(self._clock.now() - now)
        times = self._limiter.begin_at(plan.starts, claimed)
        refused = sum(answer is None for answer in answers)
        if refused:
            logger.info("Some messages were doubled or late.", extra={"action": "claim_refused", "count": refused})
        return Claimings(
            claimed=tuple(Claimed(task=task, at=times.get(task.id)) for task in claimed.values()),
            unhandled=frozenset(again),
            contended=frozenset(s.message for s, a in pairs if isinstance(a, Contended)) | plan.contended,
            refused=refused,
            waited_for=_by_key(behind),
        )

    def _wish(self, start: Start, now: int, known: Task | None) -> Claim:
        message = start.message
        lead = max(0, (start.at or now) - now)
        until = timing.lease_until(message.timeout_seconds, now) + lead
        return Claim(
            message=message,
            now=now,
            lease_id=new_lease_id(),
            lease_until=until,
            due_at=until + timing.WAITED_FOR_MS
            if start.takes
            else timing.moved_due(message.due_at, until, self._timing),
            takes=start.takes,
            starts_at=start.at,
            known=known,
        )


def _by_key(lines: Mapping[TaskMessage, str]) -> dict[str, list[str]]:
    """Who waits in the lines of limits, by key."""
    waiting: dict[str, list[str]] = {}
    for message, line in lines.items():
        if (key := limit_key(line)) is not None:
            waiting.setdefault(key, []).append(message.task_id)
    return waiting
