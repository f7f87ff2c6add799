"""A shared step: tell receivers, who asked for it, that a task began to run or got on.

Only the end of a task is owed to anybody. An event is news for as long as nothing newer is known of its task: so long
it is tried, a few times, and nothing about it is written anywhere. The record itself is what an event tells: while its
number is the record's, the record is as it was when the event happened.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from tasklane.callback_body import Event
from tasklane.callback_post import Letter, Poster
from tasklane.message import MAX_DELAY_SECONDS, CallbackMessage
from tasklane.ports import Clock
from tasklane.task import Callback, CallbackEvent, Status, Task

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 2.0
"""How long a receiver may take to answer an event; less than for an end, which must not wait for it."""
LONG_SECONDS: Final = 0.5
"""Longer than this a process should not be kept from its next batch by events alone."""
REST: Final = 10
"""For so many times as long as events kept it, a process then tells none: ends get nine tenths of its time at least."""
PAUSES: Final = (5, 30)
"""Seconds between the tries of an event."""
SHUN_SECONDS: Final = 60
"""For how long a receiver that did not answer an event is asked to take no other by this process."""
MAX_SHUNNED: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """An event that is still worth telling."""

    message: CallbackMessage
    event: CallbackEvent
    task: Task
    callback: Callback


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """How a try went: whether the receiver took the event, and what announces the next try, if there is to be one."""

    taken: bool = False
    next_try: CallbackMessage | None = None


def news(messages: Sequence[CallbackMessage], tasks: Mapping[str, Task]) -> list[News]:
    """Which of ``messages`` announce an event that is the last thing that happened to its task; doubled ones once."""
    found: dict[str, News] = {}
    for message in messages:
        task = tasks.get(message.task_id)
        event = next((one for one in CallbackEvent if one.value == message.event), None)
        if event is None or task is None or task.callback is None:
            continue
        if task.status is Status.RUNNING and task.sequence == message.sequence:
            found[task.id] = News(message=message, event=event, task=task, callback=task.callback)
    return list(found.values())


class TellEvents:
    """Makes tries. One per process: it remembers which receivers do not answer, and what events have cost."""

    def __init__(self, *, poster: Poster, clock: Clock, give_up_on_4xx: bool) -> None:
        self._poster = poster
        self._clock = clock
        self._give_up_on_4xx = give_up_on_4xx
        self._shunned: dict[str, int] = {}
        self._rests_until = 0

    def __call__(self, one: News, secrets: Sequence[str], timeout_seconds: float) -> Told:
        """Make a try. Never raises."""
        receiver = urlsplit(one.callback.url).netloc
        ids = {"task_id": one.task.id, "event": one.event.value, "sequence": one.message.sequence}
        if max(self._rests_until, self._shunned.get(receiver, 0)) > self._clock.now():
            logger.info("An event waits because of a slow receiver.", extra={"action": "event_put_off", **ids})
            return self._next_try(one.message, 0.0)
        posted = self._poster(_letter(one), lambda: _event(one), secrets, min(timeout_seconds, TIMEOUT_SECONDS))
        if posted.delivered:
            logger.info("An event was told.", extra={"action": "event_told", **ids})
            return Told(taken=True)
        entry = posted.entry
        failure = {"try": entry.number, "status_code": entry.status_code, "error": entry.error}
        logger.warning("An event was not taken.", extra={"action": "event_failed", **ids, **failure})
        if posted.response is None:
            self._shun(receiver)
        strict = self._give_up_on_4xx if one.callback.give_up_on_4xx is None else one.callback.give_up_on_4xx
        if posted.is_final(give_up_on_4xx=strict):
            return Told()
        return self._next_try(one.message, posted.retry_after(entry.started_at))

    def has_taken(self, seconds: float) -> None:
        """Events alone have kept this process from its next batch for so long."""
        if seconds > LONG_SECONDS:
            self._rests_until = self._clock.now() + int(seconds * REST * 1000)

    def _shun(self, receiver: str) -> None:
        if len(self._shunned) >= MAX_SHUNNED:
            self._shunned.clear()
        self._shunned[receiver] = self._clock.now() + SHUN_SECONDS * 1000

    def _next_try(self, message: CallbackMessage, asked_for: float) -> Told:
        if message.number > len(PAUSES) or asked_for > MAX_DELAY_SECONDS:
            return Told()
        pause = max(float(PAUSES[message.number - 1]), asked_for)
        send_at = self._clock.now() + int(pause * 1000)
        return Told(next_try=replace(message, number=message.number + 1, send_at=send_at))


def _letter(one: News) -> Letter:
    task, message = one.task, one.message
    # An end is named by task, creation and run alone; a run has one end, but several events.
    webhook_id = f"{task.id}-{task.created_at}-{task.run}-{task.sequence}"
    return Letter(url=one.callback.url, webhook_id=webhook_id, number=message.number)


def _event(one: News) -> Event:
    task = one.task
    if one.event is CallbackEvent.RUNNING:
        # Its progress has no event of its own where nobody asked for those: every try must say the same.
        task = task.evolve(progress=None)
    at = one.message.at or task.started_at or task.created_at
    return Event(name=one.event.value, task=task, at=at)
