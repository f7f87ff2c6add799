"""The callback function's entry point: SQS records in, partial failures and metrics out."""

from collections.abc import Callable
from typing import Any

import pytest

from callbacks.entrypoint import deliver, handler
from tasklane import observability
from tasklane.message import CallbackMessage
from tasklane.ports import HttpResponse
from tasklane.task import CallbackEvent, CallbackState
from tests.entrypoints.conftest import logged, metrics
from tests.support.aws_lambda import LambdaContext, sqs_event
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_running_task
from tests.support.installation import Installation

Printed = Callable[[], list[dict[str, Any]]]


def a_callback(home: Installation, url: str = "https://hooks.example.com/") -> str:
    task = a_completed_task(callback=a_pending_callback(url=url))
    home.store.put([task])
    return CallbackMessage.of(task).to_json()


def test_callbacks_are_delivered_and_counted(home: Installation, printed: Printed) -> None:
    observability.get_logger()
    home.http._answer = lambda url: HttpResponse(status_code=500 if "bad" in url else 200, headers={}, body=b"")
    bodies = [a_callback(home), a_callback(home, "https://bad.example.com/"), a_callback(home)]

    answer = deliver(sqs_event(bodies, "callbacks"), LambdaContext(seconds=120), home.services)

    assert answer == {"batchItemFailures": []}
    lines = printed()
    assert metrics(lines) == {"CallbacksDelivered": 2, "CallbacksFailed": 1}
    assert {line["task_id"] for line in logged(lines, "callback_delivered")} <= set(home.store._tasks)
    (failed,) = logged(lines, "callback_failed")
    assert (failed["try"], failed["status_code"]) == (1, 500)
    states = [task.callback.state for task in home.store._tasks.values() if task.callback]
    assert states == [CallbackState.DELIVERED, CallbackState.PENDING, CallbackState.DELIVERED]


def test_an_event_of_a_running_task_is_told_and_counted_apart(home: Installation, printed: Printed) -> None:
    observability.get_logger()
    events = (CallbackEvent.RUNNING,)
    task = a_running_task(callback=a_pending_callback(state=CallbackState.WAITING, events=events))
    home.store.put([task])
    message = CallbackMessage.telling(task, CallbackEvent.RUNNING, NOW)

    answer = deliver(sqs_event([message.to_json()], "callbacks"), LambdaContext(), home.services)

    assert answer == {"batchItemFailures": []}
    lines = printed()
    assert metrics(lines) == {"EventsTold": 1}
    (told,) = logged(lines, "event_told")
    assert (told["task_id"], told["event"], told["sequence"]) == (task.id, "running", 1)


def test_a_poison_record_fails_alone(home: Installation, printed: Printed) -> None:
    event = sqs_event(["{poison", a_callback(home)], "callbacks")

    assert deliver(event, LambdaContext(), home.services) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert metrics(printed()) == {"CallbacksDelivered": 1, "MessagesUnhandled": 1}


def test_while_the_table_does_not_answer_every_record_comes_again(home: Installation) -> None:
    home.store.refuse("get")
    event = sqs_event([a_callback(home), a_callback(home)], "callbacks")

    answer = deliver(event, LambdaContext(), home.services)

    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["message-0", "message-1"]


def test_the_handler_gets_its_services_from_its_environment(
    home: Installation, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKLANE_WEBHOOK_SECRETS", "")  # without a name there is nothing to ask AWS for

    answer = handler(sqs_event([a_callback(home)], "callbacks"), LambdaContext(aws_request_id="request-8"))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    (line,) = logged(printed(), "callbacks_wait")
    assert line["request_id"] == "request-8"
