"""Use case: bring back what lanes and callback queue gave up, and clear their dead-letter queues of what is void.

A dead letter is a hint like every message: the record decides what becomes of it. It is removed once its task has been
sent, or was found to need nothing; whatever cannot be looked after, and whatever is no message at all, stays.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tasklane.changes import tasks_after, written
from tasklane.dead_letter import UNKNOWN, DeadCallbacks, DeadTasks, Kind
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, InvalidMessage, TaskMessage
from tasklane.ports import CallbackQueue, Change, Clock, Delivery, MessageSource, TaskQueue, TaskStore
from tasklane.task import Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

CALLBACKS: Final = 0
"""The callback queue's number among the lanes."""
BATCH: Final = 10
"""Dead letters received, looked after and removed together."""
WAIT_SECONDS: Final = 1
"""A receive that does not wait asks some of a queue's servers only, and may find nothing where there is something
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)."""
ROUNDS: Final = 3
"""How often a dead letter is judged anew because somebody else changed its task in between."""

SENT: Final = "sent"
REOPENED: Final = "reopened"
REPEATED: Final = "repeated"
_Message = TypeVar("_Message", TaskMessage, CallbackMessage)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedriveReport:
    """What became of dead letters.

    ``sent``: so many tasks (or callbacks) are on their way again. ``reopened``: so many failed tasks begin again.
    ``removed``: dead letters that needed nothing, by what their record said: a status (of the task, or of its
    callback), ``unknown`` where there is no record any more, ``repeated`` where another one spoke for the same task.
    ``poison``: so many are no messages; they stay. ``unanswered``: so many could not be looked after; they stay too.
    ``more``: it ended before the queue was empty; call again.
    """

    sent: int = 0
    reopened: int = 0
    removed: Mapping[str, int] = field(default_factory=dict)
    poison: int = 0
    unanswered: int = 0
    more: bool = False


class Redrive:
    """Empties dead-letter queues. Safe to call at any time, again and again, and twice at once.

    Every change of a record is one conditional write before its message is sent, so that the sweeper finds what dies
    in between; and what is sent twice is claimed once.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        queue: TaskQueue,
        callback_queue: CallbackQueue,
        dead_letters: MessageSource,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._store = store
        self._queue = queue
        self._callback_queue = callback_queue
        self._dead_letters = dead_letters
        self._clock = clock
        self._timing = timing

    def lane(self, lane: int, *, limit: int, remaining: Callable[[], float], reopen: bool = False) -> RedriveReport:
        """Look after at most ``limit`` dead letters of a lane, as long as ``remaining`` gives a positive number.

        Waiting tasks are sent again, as if for the first time. A failed task is left alone; with ``reopen`` it begins
        again, as by a retry by hand, where the dead letter announced the very run that failed. Raises Unavailable where
        nothing could be looked after.
        """
        return self._drain(lane, DeadTasks(self._queue, self._timing, reopen=reopen))(limit, remaining)

    def callbacks(self, *, limit: int, remaining: Callable[[], float]) -> RedriveReport:
        """The same for callbacks: one that waits for the try that the dead letter announced is sent again."""
        return self._drain(CALLBACKS, DeadCallbacks(self._callback_queue, self._timing))(limit, remaining)

    def _drain(self, number: int, kind: Kind[_Message]) -> "_Drain[_Message]":
        return _Drain(number, kind, self._store, self._dead_letters, self._clock)


class _Drain(Generic[_Message]):
    """One emptying of one dead-letter queue, until it is empty, there was enough, or something refuses to answer."""

    def __init__(
        self, number: int, kind: Kind[_Message], store: TaskStore, dead_letters: MessageSource, clock: Clock
    ) -> None:
        self._number = number
        self._kind: Kind[_Message] = kind
        self._store = store
        self._dead_letters = dead_letters
        self._clock = clock
        self._fates: Counter[str] = Counter()
        self._kept: list[str] = []
        self._poison = 0
        self._spoken_for: set[str] = set()
        """Tasks that were sent."""
        self._trouble: Unavailable | None = None
        """Why it ended early."""

    def __call__(self, limit: int, remaining: Callable[[], float]) -> RedriveReport:
        try:
            more = self._empty(limit, remaining)
        finally:
            # At the end and not before: what is given back is received again.
            self._give_back()
        if self._trouble and not self._fates:
            raise self._trouble
        report = RedriveReport(
            sent=self._fates.pop(SENT, 0),
            reopened=self._fates.pop(REOPENED, 0),
            removed=dict(sorted(self._fates.items())),
            poison=self._poison,
            unanswered=len(self._kept) - self._poison,
            more=more,
        )
        extra = {"action": "redriven", "lane": self._number, "sent": report.sent, "reopened": report.reopened}
        logger.info("Dead letters were looked after.", extra=extra | {"removed": report.removed})
        return report

    def _empty(self, limit: int, remaining: Callable[[], float]) -> bool:
        """Whether there may be more."""
        while self._trouble is None and remaining() > 0 and (left := limit - self._fates.total()) > 0:
            try:
                deliveries = self._dead_letters.receive(self._number, min(BATCH, left), WAIT_SECONDS)
            except Unavailable as exc:
                self._trouble = exc
                return True
            if not deliveries:
                return False
            letters = self._read(deliveries)
            fates = self._look_after(letters)
            self._remove(list(fates))
            self._fates.update(fates.values())
            self._poison += len(deliveries) - len(letters)
            self._kept += [one.handle for one in deliveries if one.handle not in fates]
        return True

    def _read(self, deliveries: Sequence[Delivery]) -> dict[str, _Message]:
        """The messages, by handle, without what is none."""
        letters: dict[str, _Message] = {}
        for one in deliveries:
            try:
                letters[one.handle] = self._kind.read(one.body)
            except InvalidMessage as exc:
                extra = {"action": "poison_message", "message_id": one.message_id, "error": str(exc)}
                logger.warning("A dead letter was not written by Tasklane; it stays.", extra=extra)
        return letters

    def _look_after(self, letters: Mapping[str, _Message]) -> dict[str, str]:
        """What became of each dead letter, by handle; those that could not be looked after are missing."""
        fates: dict[str, str] = {}
        left = dict(letters)
        for _ in range(ROUNDS):
            left = self._round(left, fates) if left else {}
        return fates

    def _round(self, letters: Mapping[str, _Message], fates: dict[str, str]) -> dict[str, _Message]:
        """Judge ``letters``, write down in ``fates`` what came of it; those whose tasks others changed meanwhile."""
        changes = self._judge(letters, fates)
        answers: list[bool | Unavailable] = self._store.save(list(changes.values())) if changes else []
        done = written(changes.values(), answers)
        sent: list[Unavailable | None] = self._kind.send(tasks_after(done)) if done else []
        self._trouble = next((one for one in (*answers, *sent) if isinstance(one, Unavailable)), self._trouble)
        gone = {c.before.id: c for c, answer in zip(done, sent, strict=True) if answer is None}
        self._spoken_for |= gone.keys()
        for handle, message in letters.items():
            if handle not in fates and message.task_id in gone:
                fates[handle] = _fate(gone[message.task_id]) if handle in changes else REPEATED
        refused = {c.before.id for c, answer in zip(changes.values(), answers, strict=True) if answer is False}
        return {h: m for h, m in letters.items() if h not in fates and m.task_id in refused}

    def _judge(self, letters: Mapping[str, _Message], fates: dict[str, str]) -> dict[str, Change]:
        """The change that each task needs, by the handle of the first dead letter that speaks for it."""
        tasks, now = self._find({message.task_id for message in letters.values()}), self._clock.now()
        changes: dict[str, Change] = {}
        changing: set[str] = set()
        for handle, message in letters.items():
            if message.task_id not in tasks:
                continue
            task = tasks[message.task_id]
            step = UNKNOWN if task is None else self._kind.decide(message, task, now)
            if isinstance(step, str):
                fates[handle] = step
            elif message.task_id in self._spoken_for:
                fates[handle] = REPEATED
            elif message.task_id not in changing:
                changing.add(message.task_id)
                changes[handle] = step
        return changes

    def _find(self, task_ids: Iterable[str]) -> dict[str, Task | None]:
        """The tasks that there are, None for those that are gone; what could not be read is missing.

        A record of a newer version cannot be read, and is missing in a batch like one that is gone: asked for alone,
        it is told apart.
        """
        ids = list(task_ids)
        try:
            found: dict[str, Task | None] = {**self._store.get(ids)}
        except Unavailable as exc:
            if len(ids) > 1:
                self._trouble = exc
            return {}
        for task_id in (one for one in ids if one not in found):
            try:
                found[task_id] = self._store.get([task_id]).get(task_id)
            except Unavailable as exc:
                extra = {"action": "redrive_failed", "task_id": task_id, "error": str(exc)}
                logger.warning("The task of a dead letter could not be read.", extra=extra)
        return found

    def _remove(self, handles: Sequence[str]) -> None:
        if not handles:
            return
        try:
            self._dead_letters.acknowledge(self._number, handles)
        except Unavailable as exc:
            # They come again, and their tasks are sent once more: a doubled message, and its claim is refused.
            extra = {"action": "redrive_failed", "lane": self._number, "error": str(exc)}
            logger.warning("Dead letters could not be removed.", extra=extra)

    def _give_back(self) -> None:
        """Let what stays be seen at once, also by the alarm, which looks at visible messages only."""
        try:
            for start in range(0, len(self._kept), BATCH):
                self._dead_letters.release(self._number, self._kept[start : start + BATCH], 0)
        except Unavailable as exc:
            extra = {"action": "redrive_failed", "lane": self._number, "error": str(exc)}
            logger.warning("Dead letters are seen again only when their time is up.", extra=extra)


def _fate(change: Change) -> str:
    return REOPENED if change.before.status is not change.after.status else SENT
