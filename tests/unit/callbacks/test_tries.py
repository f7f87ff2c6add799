"""A callback that did not succeed is owed: it is tried again until it is delivered or given up."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from tasklane.callback import PAUSES, CallbackTerms
from tasklane.errors import AddressRefused, Unavailable
from tasklane.ports import HttpResponse
from tasklane.registry import Registry
from tasklane.task import CallbackState
from tests.support.builders import NOW
from tests.support.installation import CALLBACKS, Installation, an_installation
from tests.support.waiting import wait_for
from tests.unit.callbacks.conftest import OK, URL, callback, ended, status


@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        (status(500), 500, None),
        (status(404), 404, None),
        (status(301, location="https://elsewhere.example.com/"), 301, None),
        (Unavailable("no answer from hooks.example.com"), None, "no answer from hooks.example.com"),
        (AddressRefused("not a public address"), None, "not a public address"),
        (RuntimeError("a fault of our own"), None, "a fault of our own"),
    ],
)
def test_a_callback_that_did_not_succeed_is_tried_again(
    receiving: Callable[..., Installation], answer: Any, code: int | None, error: str | None
) -> None:
    home = receiving(answer, OK)
    task = ended(home)

    report = home.deliver()

    assert (report.delivered, report.failed, report.unhandled) == (0, 1, frozenset())
    waiting = callback(home, task)
    assert (waiting.state, waiting.tries) == (CallbackState.PENDING, 1)
    assert [(one.status_code, one.error) for one in waiting.history] == [(code, error)]
    assert NOW + 5000 <= waiting.next_at <= NOW + 5500
    assert home.queues.depth(CALLBACKS) == 1
    home.clock.advance(6)
    assert home.deliver().delivered == 1
    assert [one.number for one in callback(home, task).history] == [1, 2]


def test_the_pauses_are_those_of_the_specification_and_then_it_is_given_up(
    receiving: Callable[..., Installation],
) -> None:
    home = receiving(status(503))
    task = ended(home)

    for pause in PAUSES:
        assert home.deliver().failed == 1
        next_at = callback(home, task).next_at
        assert pause * 1000 <= next_at - home.clock.now() <= pause * 1100
        while home.clock.now() < next_at:
            home.clock.advance(60)
            home.sweep()
        home.clock.advance(60)
    assert home.deliver().failed == 1

    given_up = home.task(task)
    assert given_up.callback is not None
    assert (given_up.callback.state, given_up.callback.tries) == (CallbackState.UNDELIVERED, len(PAUSES) + 1)
    assert len(given_up.callback.history) == 10
    assert (given_up.due_at, home.queues.depth(CALLBACKS)) == (None, 0)
    assert sum(PAUSES) > 3 * 86_400


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://0x7f.1/", "http://[::1]/", "https://example.com:0/"])
def test_an_address_that_is_refused_for_what_it_is_ends_it(
    receiving: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Submitted before such addresses were refused."""
    home = receiving(AddressRefused("not a public address"))
    with monkeypatch.context() as patch:
        patch.setattr("tasklane.submit.why_never", lambda *_, **__: None)
        task = home.submit("echo", callback_url=url)
    home.work()

    home.deliver()

    undelivered = callback(home, task)
    assert (undelivered.state, undelivered.tries) == (CallbackState.UNDELIVERED, 1)
    assert undelivered.history[0].error == "not a public address"
    assert [one.id for one in home.services.list_callbacks.undelivered(10, None).tasks] == [task.id]
    home.services.manage.redeliver(task.id)
    home.deliver()
    assert callback(home, task).state is CallbackState.UNDELIVERED


def test_a_receiver_that_is_gone_for_good_ends_it(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(410))
    task = ended(home)

    home.deliver()

    assert callback(home, task).state is CallbackState.UNDELIVERED
    assert (home.task(task).due_at, home.queues.depth(CALLBACKS)) == (None, 0)


@pytest.mark.parametrize(
    ("code", "own", "installation", "ends"),
    [
        (404, None, False, False),
        (404, None, True, True),
        (404, True, False, True),
        (404, False, True, False),
        (400, True, False, True),
        (499, True, False, True),
        (408, True, True, False),
        (429, True, True, False),
        (410, False, False, True),
        (500, True, True, False),
        (399, True, True, False),
    ],
)
def test_a_4xx_ends_it_where_task_or_installation_say_so(
    registry: Registry, code: int, own: Any, installation: Any, ends: Any
) -> None:
    home = an_installation(registry=registry, answer=lambda url: status(code))
    home.services.deliver_callbacks._terms = CallbackTerms(give_up_on_4xx=installation)
    task = home.submit("echo", callback_url=URL, callback_give_up_on_4xx=own)
    home.work()
    home.close()

    home.deliver()

    assert callback(home, task).state is (CallbackState.UNDELIVERED if ends else CallbackState.PENDING)
    assert [one.status_code for one in callback(home, task).history] == [code]
    assert (home.task(task).due_at is None) is ends
    if ends:
        assert [one.id for one in home.services.list_callbacks.undelivered(10, None).tasks] == [task.id]


def test_an_answer_that_was_none_says_nothing_about_us(receiving: Callable[..., Installation]) -> None:
    home = receiving(Unavailable("no answer"))
    home.services.deliver_callbacks._terms = CallbackTerms(give_up_on_4xx=True)
    task = ended(home)

    home.deliver()

    assert callback(home, task).state is CallbackState.PENDING


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 5),
        ("999999999999", 86_400),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 300, UTC), usegmt=True), 300),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 - 300, UTC), usegmt=True), 5),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 10**7, UTC), usegmt=True), 86_400),
        ("soon", 5),
        ("-5", 5),
        ("1.5", 5),
        ("٣٠٠", 5),
        ("", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
    ],
)
def test_a_receiver_may_ask_for_a_longer_pause(
    receiving: Callable[..., Installation], value: str, seconds: int
) -> None:
    home = receiving(status(429, retry_after=value))
    task = ended(home)

    home.deliver()

    pause = (callback(home, task).next_at - NOW) / 1000
    assert seconds <= pause <= seconds * 1.1


def test_a_result_that_cannot_be_fetched_is_told_later(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home, payload={"text": "x" * 10_000})
    home.blobs.refuse = 1

    assert home.deliver().failed == 1
    assert (home.http.posted, callback(home, task).history[0].status_code) == ([], None)
    home.clock.advance(6)
    assert home.deliver().delivered == 1


def test_a_receiver_that_is_slow_to_answer_holds_up_no_others_next_try(registry: Registry) -> None:
    queued_meanwhile: list[int] = []

    def answer(url: str) -> HttpResponse:
        if not url.endswith("slow"):
            return status(500)
        wait_for(lambda: home.queues.depth(CALLBACKS) > 0, "the next try of the other one")
        queued_meanwhile.append(home.queues.depth(CALLBACKS))
        return OK

    home = an_installation(registry=registry, answer=answer)
    slow, other = (home.submit("echo", {}, callback_url=f"https://example.com/{one}") for one in ("slow", "other"))
    home.work()

    report = home.deliver()

    assert (report.delivered, report.failed) == (1, 1)
    assert queued_meanwhile == [1]
    assert callback(home, slow).state is CallbackState.DELIVERED
    assert callback(home, other).tries == 1
