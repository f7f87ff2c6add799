"""An end is told as it was, once for each of its messages, whatever the table does meanwhile."""

import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tasklane.callback import INLINE_RESULT
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage
from tasklane.ports import HttpResponse
from tasklane.registry import Registry
from tasklane.task import CallbackState
from tests.support.builders import NOW
from tests.support.installation import CALLBACKS, Installation, an_installation
from tests.unit.callbacks.conftest import OK, URL, callback, ended, seconds_given, status

# -- delivered ---------------------------------------------------------------------------------------------------------


def test_a_completed_task_is_told_with_its_result_and_a_signature(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(204))
    task = ended(home)

    report = home.deliver()

    assert (report.delivered, report.failed, report.unhandled) == (1, 0, frozenset())
    ((url, body, headers),) = home.http.posted
    assert url == URL
    assert headers["webhook-id"] == f"{task.id}-{task.created_at}-1"
    signed_now = {**headers, "webhook-timestamp": str(NOW // 1000)}
    assert signed_now == headers
    told = json.loads(body)
    assert (told["type"], told["timestamp"]) == ("task.completed", "2025-06-15T15:06:40.000Z")
    assert (told["data"]["id"], told["data"]["status"], told["data"]["result"]) == (task.id, "completed", {"a": 1})
    assert told["data"]["labels"] == {"order": "7"}
    assert "payload" not in told["data"]
    done = home.task(task)
    assert done.callback is not None
    assert (done.callback.state, done.callback.tries, done.due_at, done.lease_id) == ("delivered", 1, None, None)
    assert [(one.number, one.status_code, one.error) for one in done.callback.history] == [(1, 204, None)]
    assert home.queues.depth(CALLBACKS) == 0


def test_a_failed_task_is_told_with_its_error(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    ended(home, "fail")

    home.deliver()

    told = json.loads(home.http.posted[0][1])
    assert told["type"] == "task.failed"
    assert told["data"]["error"] == {"type": "NonRetryable", "message": "no such account"}
    assert told["data"]["result"] is None


def test_a_large_result_is_told_by_its_address(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    small = ended(home, payload={"text": "x" * (INLINE_RESULT - 100)})
    large = ended(home, payload={"text": "x" * INLINE_RESULT})

    home.deliver()

    told = {json.loads(body)["data"]["id"]: json.loads(body)["data"] for _, body, _ in home.http.posted}
    assert len(told[small.id]["result"]["text"]) == INLINE_RESULT - 100
    assert "result_url" not in told[small.id]
    assert told[large.id]["result"] is None
    assert told[large.id]["result_url_expires_at"] == "2025-06-15T16:06:40.000Z", "in an hour"
    with urllib.request.urlopen(told[large.id]["result_url"]) as answer:
        assert json.load(answer) == {"text": "x" * INLINE_RESULT}


def test_contract_3_tells_a_large_result_by_its_address_too(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    job = {"name": "report", "parameters": {"text": "x" * INLINE_RESULT}, "steps": 1}
    home.submit("echo", job, callback_url=URL, contract="task-execution")
    home.work()
    home.close()

    home.deliver()

    told = json.loads(home.http.posted[0][1])
    url = told.pop("result_url")
    assert told["status"] == "COMPLETED"
    unknown = {"name": None, "parameters": None, "result_data": None}
    assert told["result"] == unknown | {"completed_at": "2025-06-15T15:06:40.000Z"}
    assert told["result_url_expires_at"] == "2025-06-15T16:06:40.000Z", "in an hour"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer) == job


def test_a_batch_is_delivered_side_by_side(registry: Registry) -> None:
    together = threading.Barrier(5)

    def answer(url: str) -> HttpResponse:
        together.wait(10)
        return OK

    home = an_installation(registry=registry, answer=answer)
    for _ in range(5):
        ended(home)

    assert home.deliver().delivered == 5


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_doubled_message_is_not_posted_twice(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home)
    message = CallbackMessage.of(home.task(task))

    first = home.services.deliver_callbacks([message, message], lambda: 60.0)
    second = home.services.deliver_callbacks([message], lambda: 60.0)

    assert (first.delivered, second.delivered, len(home.http.posted)) == (1, 0, 1)
    assert first.unhandled == second.unhandled == frozenset()


def test_messages_about_nothing_are_handled(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    without = home.submit("echo")
    messages = [
        CallbackMessage(task_id="gone", number=1),
        CallbackMessage(task_id=without.id, number=1),
        CallbackMessage(task_id=ended(home).id, number=7),
    ]

    report = home.services.deliver_callbacks(messages, lambda: 60.0)

    assert (report.delivered, report.failed, report.unhandled, home.http.posted) == (0, 0, frozenset(), [])
    assert home.services.deliver_callbacks([], lambda: 60.0).unhandled == frozenset()


@pytest.mark.parametrize("method", ["get", "save"])
def test_a_table_that_does_not_answer_lets_the_message_come_again(
    receiving: Callable[..., Installation], method: str
) -> None:
    home = receiving(OK)
    task = ended(home)
    home.store.refuse(method)

    assert home.deliver().unhandled == frozenset({0})
    assert home.http.posted == []
    assert home.deliver().delivered == 1
    assert callback(home, task).tries == 1


def test_a_try_whose_outcome_could_not_be_written_is_made_again(
    receiving: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.save.PAUSES", (0.0,))
    home = receiving(OK)
    task = ended(home)
    messages = [CallbackMessage.of(home.task(task))]
    store_save, calls = home.store.save, list[int]()

    def second_refused(changes: Any) -> Any:
        calls.append(len(changes))
        return store_save(changes) if len(calls) == 1 else [Unavailable("throttled")] * len(changes)

    monkeypatch.setattr(home.store, "save", second_refused)
    home.services.deliver_callbacks(messages, lambda: 60.0)
    monkeypatch.undo()
    assert callback(home, task).state is CallbackState.PENDING

    home.clock.advance(600)
    home.sweep()
    home.deliver()
    home.deliver()
    assert callback(home, task).state is CallbackState.DELIVERED
    assert len(home.http.posted) == 2, "at least once"


def test_a_callback_gets_no_more_time_than_its_process_has(registry: Registry) -> None:
    home = an_installation(registry=registry)
    given = seconds_given(home)
    for seconds in (120.0, 10.0, 0.5):
        ended(home)
        home.deliver(seconds=seconds)

    assert given == [15.0, 8.0, 1.0]


def test_the_answer_to_a_try_that_was_made_void_meanwhile_decides_nothing(
    receiving: Callable[..., Installation],
) -> None:
    """Sent again by hand while a try is in flight: the new first try has its number, but is another."""
    home = receiving(OK)
    task = ended(home)
    answers = iter([status(410), OK])

    def answer(url: str) -> HttpResponse:
        mine = next(answers)
        if mine.status_code == 410:
            home.services.manage.redeliver(task.id)
            home.deliver()
        return mine

    home.http._answer = answer
    home.deliver()

    assert callback(home, task).state is CallbackState.DELIVERED
    assert [(one.number, one.status_code) for one in callback(home, task).history] == [(1, 410), (2, 200)]
