"""Use case: deliver callbacks. A callback is owed until it is delivered, or given up and listed as undelivered.

Its form is Standard Webhooks'
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final

from tasklane import document, timing
from tasklane.callback_body import Event
from tasklane.callback_post import Letter, Posted, Poster
from tasklane.dispatch import send_callbacks
from tasklane.errors import Unavailable
from tasklane.ids import new_lease_id
from tasklane.message import CallbackMessage
from tasklane.ports import BlobStore, CallbackQueue, CallbackSender, Change, Clock, SigningSecrets, TaskStore
from tasklane.retry import Random
from tasklane.save import save_patiently
from tasklane.task import Callback, CallbackState, Task
from tasklane.tell import TellEvents, Told, news
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 15.0
"""How long a receiver may take to answer."""
PAUSES: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between tries, the schedule that Standard Webhooks recommends: over three days in all."""
TRY_MS: Final = int(TIMEOUT_SECONDS * 1000) + timing.LEASE_MARGIN_MS
"""How long a try that has begun is left alone before the sweeper begins the next."""
LINGER_SECONDS: Final = 0.05
"""How long a try that is over waits for others, so that they are written down together."""
JITTER: Final = 0.1
"""A pause is up to this part longer, so that the callbacks of an outage do not all come back together."""
GUARDS: Final = ("status", "run", "callback", "lease_id")
"""Who changes a callback finds these as he read them: begun anew, it has the same numbers, but another id."""
ROUNDS: Final = 5
"""How often a try is written down anew because somebody else changed its callback meanwhile."""
INLINE_RESULT: Final = 64 * 1024
"""Bytes of JSON of the largest result that a callback carries; a larger one is fetched from the blob store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackReport:
    """What became of a batch. ``unhandled`` are the positions of messages that must come again."""

    unhandled: frozenset[int] = frozenset()
    delivered: int = 0
    failed: int = 0
    told: int = 0
    """Events of running tasks that were taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackTerms:
    """What an installation decides about its callbacks.

    ``give_up_on_4xx``: whether a 4xx ends a callback at once (408 and 429 never do, 410 always does), where its task
    does not say. ``result_url_seconds``: for how long a large result can be fetched from the address in its callback.
    """

    give_up_on_4xx: bool = False
    result_url_seconds: int = 3600


DEFAULT_TERMS: Final = CallbackTerms()


class DeliverCallbacks:
    """Claims tries, posts them side by side, and writes down how they went."""

    def __init__(  # noqa: PLR0913 - one argument for each part that it stands on
        self,
        *,
        store: TaskStore,
        callback_queue: CallbackQueue,
        blobs: BlobStore,
        sender: CallbackSender,
        secrets: SigningSecrets,
        clock: Clock,
        timing: Timing,
        terms: CallbackTerms = DEFAULT_TERMS,
        random: Random = random.random,
    ) -> None:
        self._store = store
        self._callback_queue = callback_queue
        self._blobs = blobs
        self._secrets = secrets
        self._clock = clock
        self._timing = timing
        self._terms = terms
        self._random = random
        self._poster = Poster(sender=sender, clock=clock)
        self._tell = TellEvents(poster=self._poster, clock=clock, give_up_on_4xx=terms.give_up_on_4xx)

    def __call__(self, messages: Sequence[CallbackMessage], remaining: Callable[[], float]) -> CallbackReport:
        """Deliver the callbacks that ``messages`` announce; ``remaining`` tells the seconds this process still has.

        Never raises for one callback's sake. Without its tenant's signing secret nothing is sent, and it comes again;
        all but the events of running tasks, which are no longer news then.
        """
        try:
            tasks = self._store.get([message.task_id for message in messages])
        except Unavailable as exc:
            logger.exception("Callbacks must wait.", extra={"action": "callbacks_wait", "error": str(exc)})
            return CallbackReport(unhandled=frozenset(i for i, m in enumerate(messages) if m.event is None))
        secrets = self._live_secrets(tasks)
        claimed, unhandled = self._claim(messages, tasks, secrets)
        events = [one for one in news(messages, tasks) if one.task.tenant in secrets]
        if not claimed and not events:
            return CallbackReport(unhandled=unhandled)
        timeout = max(1.0, min(TIMEOUT_SECONDS, remaining() - 2.0))
        with ThreadPoolExecutor(len(claimed) + len(events), thread_name_prefix="callback") as pool:
            ends = {pool.submit(self._deliver, task, secrets[task.tenant], timeout): task for task in claimed}
            tries = [pool.submit(self._tell, one, secrets[one.task.tenant], timeout) for one in events]
            # A receiver that is slow to take an event keeps no end from being written down.
            delivered = self._write_as_they_end(ends)
            begun = time.monotonic()
            told = self._go_on([one.result() for one in tries])
            self._tell.has_taken(time.monotonic() - begun)
        return CallbackReport(unhandled=unhandled, delivered=delivered, failed=len(ends) - delivered, told=told)

    def _write_as_they_end(self, ends: Mapping["Future[Posted]", Task]) -> int:
        """Write down each try when it is over: one slow receiver holds up no other's next try. How many delivered."""
        delivered, left = 0, set(ends)
        while left:
            wait(left, return_when=FIRST_COMPLETED)
            done, left = wait(left, timeout=LINGER_SECONDS)
            delivered += self._write([(task, end.result()) for end, task in ends.items() if end in done])
        return delivered

    def _write(self, tries: Sequence[tuple[Task, Posted]]) -> int:
        changes = [Change(before=task, after=self._after_try(task, posted), unchanged=GUARDS) for task, posted in tries]
        for change, (_, posted) in zip(changes, tries, strict=True):
            _tell(change.after, posted)
        written = save_patiently(self._store, changes)
        known = {task.id for task in written}
        written += self._write_late([one for one in tries if one[0].id not in known])
        send_callbacks(self._callback_queue, written, self._clock.now())
        return sum(posted.delivered for _, posted in tries)

    def _write_late(self, tries: Sequence[tuple[Task, Posted]]) -> list[Task]:
        """Write down tries whose callbacks somebody let begin anew meanwhile; those whose own outcome was written."""
        written: list[Task] = []
        left = {task.id: (task, posted) for task, posted in tries}
        for _ in range(ROUNDS):
            if not left:
                break
            try:
                found = self._store.get(list(left))
            except Unavailable:
                break  # what was refused before is not written now; the sweeper sees to it
            changes = [change for task in found.values() if (change := self._late(task, *left[task.id])) is not None]
            answers = dict(zip((one.after.id for one in changes), self._store.save(changes), strict=True))
            written += [one.after for one in changes if answers[one.after.id] is True and _is_outcome(one.after)]
            left = {task_id: left[task_id] for task_id, answer in answers.items() if answer is not True}
        return written

    def _late(self, task: Task, begun: Task, posted: Posted) -> Change | None:
        """What a try that ``begun`` began is to ``task``, as that is by now: its outcome, or an entry and no more."""
        callback, mine = task.callback, _callback(begun)
        if callback is None or task.created_at != begun.created_at or posted.entry in callback.history:
            return None
        goes_on = callback.state is CallbackState.PENDING and task.run == begun.run
        if goes_on and (callback.earlier, callback.tries) == (mine.earlier, mine.tries):
            return Change(before=task, after=self._after_try(task, posted), unchanged=GUARDS)
        after = task.evolve(callback=callback.with_try(posted.entry))
        if not task.status.final:
            return Change(before=task, after=after, unchanged=("status", "run", "callback"))
        # Whoever is at its next try has read a history without this one: the id tells him to read again.
        return Change(before=task, after=after.evolve(lease_id=new_lease_id()), unchanged=GUARDS)

    def _go_on(self, told: Sequence[Told]) -> int:
        """Send the messages of events that are to be tried again; how many were taken."""
        again = [one.next_try for one in told if one.next_try is not None]
        if again:
            self._callback_queue.send(again)
        return sum(one.taken for one in told)

    def _live_secrets(self, tasks: Mapping[str, Task]) -> dict[str, Sequence[str]]:
        """The secrets to sign with, by tenant; whose cannot be had is missing."""
        live: dict[str, Sequence[str]] = {}
        for tenant, secrets in self._secrets.current({task.tenant for task in tasks.values()}).items():
            if isinstance(secrets, Exception):
                extra = {"action": "callbacks_wait", "tenant": tenant, "error": str(secrets)}
                logger.error("Callbacks must wait for a signing secret.", extra=extra)
            else:
                live[tenant] = secrets
        return live

    def _claim(
        self, messages: Sequence[CallbackMessage], tasks: Mapping[str, Task], secrets: Mapping[str, Sequence[str]]
    ) -> tuple[list[Task], frozenset[int]]:
        now = self._clock.now()
        changes: dict[int, Change] = {}
        waiting: set[int] = set()
        for position, message in enumerate(messages):
            task = tasks.get(message.task_id)
            # A task that is gone, or a try that has begun before, is a doubled or late message.
            doubled = any(change.before.id == message.task_id for change in changes.values())
            if task is None or doubled or not _may_begin(task, message):
                continue
            if task.tenant in secrets:
                changes[position] = self._begin(task, now)
            else:
                waiting.add(position)
        answers = dict(zip(changes, self._store.save(list(changes.values())), strict=True)) if changes else {}
        claimed = [changes[position].after for position, answer in answers.items() if answer is True]
        return claimed, frozenset(waiting | {p for p, answer in answers.items() if isinstance(answer, Unavailable)})

    def _begin(self, task: Task, now: int) -> Change:
        callback = _callback(task)
        after = task.evolve(callback=replace(callback, tries=callback.tries + 1, next_at=now), lease_id=new_lease_id())
        look = max(timing.next_callback_look(after, now, self._timing), now + TRY_MS)
        after = after.evolve(due_at=look)
        return Change(before=task, after=after, unchanged=GUARDS)

    def _deliver(self, task: Task, secrets: Sequence[str], timeout: float) -> Posted:
        callback = _callback(task)
        webhook_id = f"{task.id}-{task.created_at}-{task.run}"
        letter = Letter(url=callback.url, webhook_id=webhook_id, number=callback.number)
        return self._poster(letter, lambda: self._end_of(task), secrets, timeout)

    def _after_try(self, task: Task, posted: Posted) -> Task:
        callback = replace(_callback(task).with_try(posted.entry), next_at=None)
        task = task.evolve(lease_id=None)
        if posted.delivered:
            return task.evolve(callback=replace(callback, state=CallbackState.DELIVERED), due_at=None, sends=0)
        strict = self._terms.give_up_on_4xx if callback.give_up_on_4xx is None else callback.give_up_on_4xx
        given_up = callback.tries > len(PAUSES) or posted.is_final(give_up_on_4xx=strict)
        if given_up:
            callback = replace(callback, state=CallbackState.UNDELIVERED)
            now = self._clock.now()
            task = task.evolve(callback=callback, due_at=None, sends=0, outcome_at=task.outcome_at or now)
            return timing.kept(task, now)
        now = self._clock.now()
        pause = PAUSES[callback.tries - 1] * (1 + JITTER * self._random())
        wait = max(pause, posted.retry_after(now))
        next_at = now + int(wait * 1000)
        task = timing.kept(task.evolve(callback=replace(callback, next_at=next_at), sends=0), next_at)
        return task.evolve(due_at=timing.next_callback_look(task, now, self._timing))

    def _end_of(self, task: Task) -> Event:
        event = Event(name=task.status.value, task=task, at=task.finished_at or task.created_at)
        if task.result is None:
            return event
        if task.result.size <= INLINE_RESULT or task.result.blob_key is None:
            return replace(event, result=document.read(task.result, self._blobs))
        # Told before it is asked for, so that the address is never said to be valid for longer than it is.
        until = self._clock.now() + self._terms.result_url_seconds * 1000
        url = self._blobs.url(task.result.blob_key, self._terms.result_url_seconds)
        return replace(event, result_url=url, result_url_until=until)


def _tell(task: Task, posted: Posted) -> None:
    """Log how a try went; ``task`` is as that leaves it."""
    one = posted.entry
    ids = {"task_id": task.id, "try": one.number, "status_code": one.status_code, "error": one.error}
    if posted.delivered:
        logger.info("A callback was delivered.", extra={"action": "callback_delivered", **ids})
    elif _callback(task).state is CallbackState.UNDELIVERED:
        logger.error("A callback is undelivered.", extra={"action": "callback_undelivered", **ids})
    else:
        logger.warning("A callback will be tried again.", extra={"action": "callback_failed", **ids})


def _is_outcome(task: Task) -> bool:
    """Whether a try wrote how it went, and not only that it was made."""
    return task.status.final and task.lease_id is None


def _callback(task: Task) -> Callback:
    if task.callback is None:
        raise ValueError(f"task {task.id} has no callback")
    return task.callback


def _may_begin(task: Task, message: CallbackMessage) -> bool:
    callback = task.callback
    if callback is None or message.event is not None:
        return False
    return callback.state is CallbackState.PENDING and callback.tries == message.number - 1
