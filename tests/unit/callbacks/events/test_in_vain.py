"""An event that is not taken is tried a few times and forgotten; the end is told all the same."""

from dataclasses import replace
from typing import Any

import pytest

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage
from tasklane.ports import Change, HttpResponse
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, CallbackState, Task
from tests.support.builders import NOW
from tests.support.installation import CALLBACKS, Installation
from tests.support.waiting import wait_for
from tests.unit.callbacks.conftest import OK, URL, NoSecrets, seconds_given
from tests.unit.callbacks.events.conftest import in_short

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    "answer", [HttpResponse(status_code=503, headers={}, body=b""), Unavailable("no answer"), RuntimeError("a fault")]
)
def test_an_event_is_tried_a_few_times_and_then_forgotten(home: Installation, running: Task, answer: Any) -> None:
    def refuse(url: str) -> HttpResponse:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    home.http._answer = refuse
    for pause in (5, 65):
        assert home.deliver().told == 0
        assert home.deliver().told == 0, "not before its time"
        home.clock.advance(pause)
    home.deliver()

    assert home.queues.depth(CALLBACKS) == 0
    assert len(home.http.posted) == (3 if isinstance(answer, HttpResponse) else 2), "who is silent is left alone"
    assert len({(body, headers["webhook-id"]) for _, body, headers in home.http.posted}) == 1
    callback = home.task(running).callback
    assert callback is not None
    assert (callback.tries, callback.history, callback.state) == (0, (), CallbackState.WAITING)


@pytest.mark.parametrize(("after", "more"), [("60", 1), ("7200", 0)])
def test_a_receiver_may_ask_for_a_longer_pause(home: Installation, running: Task, after: str, more: int) -> None:
    home.http._answer = lambda url: HttpResponse(status_code=429, headers={"retry-after": after}, body=b"")
    home.deliver()

    assert home.queues.depth(CALLBACKS) == more
    home.clock.advance(59)
    home.deliver()
    assert len(home.http.posted) == 1
    home.clock.advance(2)
    home.deliver()
    assert len(home.http.posted) == 1 + more


@pytest.mark.parametrize(("code", "strict"), [(410, None), (404, True)])
def test_a_receiver_that_wants_none_gets_the_end_all_the_same(
    home: Installation, running: Task, code: int, strict: Any
) -> None:
    home.http._answer = lambda url: HttpResponse(status_code=code, headers={}, body=b"")
    now = home.task(running)
    assert now.callback is not None
    home.store.save([Change(before=now, after=now.evolve(callback=replace(now.callback, give_up_on_4xx=strict)))])

    home.deliver()

    assert home.queues.depth(CALLBACKS) == 0
    home.services.manage.cancel(running.id)
    callback = home.task(running).callback
    assert callback is not None
    assert callback.state is CallbackState.WAITING


def test_an_event_gets_less_time_than_an_end(home: Installation, running: Task) -> None:
    given = seconds_given(home)
    home.deliver()

    assert given == [2.0]


def test_a_slow_receiver_of_an_event_keeps_no_end_from_being_written(
    home: Installation, registry: Registry, running: Task
) -> None:
    done = home.submit("nothing", callback_url="https://other.example.com/")

    def written() -> bool:
        callback = home.task(done).callback
        return callback is not None and callback.state is CallbackState.DELIVERED

    def answer(url: str) -> HttpResponse:
        if url == URL:
            wait_for(written)
        return OK

    home.http._answer = answer
    home.services.manage.cancel(done.id)
    report = home.deliver()

    assert (report.delivered, report.told) == (1, 1)


def test_a_receiver_that_is_silent_is_asked_no_more_for_a_while(home: Installation, running: Task) -> None:
    message = CallbackMessage.telling(home.task(running), CallbackEvent.RUNNING, NOW)
    other = home.task(running)

    def silent(url: str) -> HttpResponse:
        raise Unavailable("no answer")

    home.http._answer = silent
    deliver = home.services.deliver_callbacks
    deliver([message], lambda: 60.0)
    deliver([message], lambda: 60.0)
    assert len(home.http.posted) == 1
    home.clock.advance(61)
    home.http._answer = None
    assert deliver([CallbackMessage.telling(other, CallbackEvent.RUNNING, NOW)], lambda: 60.0).told == 1


def elsewhere(home: Installation, task: Task) -> CallbackMessage:
    """Another receiver is to be told of the task's last event."""
    now = home.task(task)
    assert now.callback is not None
    moved = now.evolve(callback=replace(now.callback, url="https://other.example.com/"))
    home.store.save([Change(before=now, after=moved)])
    return CallbackMessage.telling(moved, CallbackEvent.RUNNING, NOW)


def test_a_process_that_events_have_kept_for_long_tells_none_for_ten_times_as_long(
    home: Installation, running: Task
) -> None:
    """Many receivers may be slow, each in its turn: ends get most of the process's time all the same."""
    deliver = home.services.deliver_callbacks
    assert home.deliver().told == 1
    message = elsewhere(home, running)

    deliver._tell.has_taken(0.4)
    assert deliver([message], lambda: 60.0).told == 1, "that was not long"
    deliver._tell.has_taken(2.0)
    home.clock.advance(19)
    assert deliver([message], lambda: 60.0).told == 0
    assert home.queues.depth(CALLBACKS) == 1, "put off"
    home.clock.advance(1)
    assert deliver([message], lambda: 60.0).told == 1


def test_the_time_that_events_take_is_measured(
    home: Installation, running: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.tell.LONG_SECONDS", 0.0)
    monkeypatch.setattr("tasklane.tell.REST", 10**9)

    assert home.deliver().told == 1

    assert home.services.deliver_callbacks([elsewhere(home, running)], lambda: 60.0).told == 0
    home.clock.advance(10**12)
    assert home.services.deliver_callbacks([elsewhere(home, running)], lambda: 60.0).told == 1


def test_without_a_secret_events_are_dropped_and_ends_come_again(
    home: Installation, registry: Registry, running: Task
) -> None:
    deliver = home.services.deliver_callbacks
    secrets, deliver._secrets = deliver._secrets, NoSecrets(Unavailable("throttled"))
    done = home.submit("nothing", callback_url=URL)
    home.services.manage.cancel(done.id)

    assert home.deliver().unhandled == frozenset({1})

    deliver._secrets = secrets
    home.deliver()
    assert in_short(home) == [("task.cancelled", 1)]
