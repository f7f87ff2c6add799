"""Messages: what goes through the queues comes back, and what no Tasklane wrote is told apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane.message import CallbackMessage, InvalidMessage, TaskMessage, delay_seconds
from tasklane.task import Status
from tests.support.builders import NOW, a_completed_task, a_message, a_pending_callback, a_task

GOOD = json.loads(a_message(a_task(run_at=NOW, expires_at=NOW)).to_json())
GOOD_CALLBACK = {"task_id": "t", "number": 1, "send_at": NOW}


def test_a_message_announces_the_next_run_of_its_task() -> None:
    task = a_task(status=Status.SCHEDULED, run=2, run_at=NOW + 5, expires_at=NOW + 9, priority=4, tenant="a")

    message = TaskMessage.of(task)

    assert (message.task_id, message.run, message.status) == (task.id, 3, "scheduled")
    assert (message.priority, message.tenant, message.run_at, message.expires_at) == (4, "a", NOW + 5, NOW + 9)
    assert (message.type, message.timeout_seconds, message.due_at) == (task.type, 60, task.due_at)


def test_a_callback_message_announces_the_next_try() -> None:
    task = a_completed_task(callback=a_pending_callback(tries=2, next_at=NOW + 300))

    assert CallbackMessage.of(task) == CallbackMessage(task_id=task.id, number=3, send_at=NOW + 300)


def test_a_task_without_a_callback_has_no_callback_message() -> None:
    with pytest.raises(ValueError, match="has no callback"):
        CallbackMessage.of(a_completed_task())


_times = st.none() | st.integers(0, 2**50)
_words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(words=st.tuples(_words, _words, _words), run=st.integers(1, 10**6), times=st.tuples(_times, _times))
def test_a_message_comes_back_as_it_was(
    words: tuple[str, str, str], run: int, times: tuple[int | None, int | None]
) -> None:
    task_id, kind, tenant = words
    message = a_message(
        a_task(), task_id=task_id, type=kind, tenant=tenant, run=run, run_at=times[0], expires_at=times[1]
    )

    assert TaskMessage.from_json(message.to_json()) == message
    callback = CallbackMessage(task_id=task_id, number=run, send_at=times[0], event=kind, at=times[1])
    assert CallbackMessage.from_json(callback.to_json()) == callback


def test_what_is_not_set_does_not_travel() -> None:
    assert set(json.loads(a_message().to_json())) == set(GOOD) - {"run_at", "expires_at"}


POISON = {
    "nothing": "",
    "no JSON": "{",
    "null": "null",
    "a list": "[]",
    "a string": '"task"',
    "a number": "17",
    "an empty object": "{}",
    "a list of pairs": json.dumps(list(GOOD.items())),
    "an unknown key": json.dumps({**GOOD, "surprise": 1}),
    "a missing key": json.dumps({name: value for name, value in GOOD.items() if name != "run"}),
    "a string for a number": json.dumps({**GOOD, "run": "1"}),
    "a number for a string": json.dumps({**GOOD, "task_id": 1}),
    "a list for a string": json.dumps({**GOOD, "task_id": ["a"]}),
    "an object for a string": json.dumps({**GOOD, "tenant": {"a": 1}}),
    "a boolean for a number": json.dumps({**GOOD, "run": True}),
    "a fraction": json.dumps({**GOOD, "run": 1.0}),
    "NaN": json.dumps({**GOOD, "due_at": float("nan")}),
    "null for a number": json.dumps({**GOOD, "run_at": None}),
    "a lane that is not there": json.dumps({**GOOD, "priority": 6}),
    "lane 0": json.dumps({**GOOD, "priority": 0}),
    "a status that is none": json.dumps({**GOOD, "status": "waiting"}),
    "a status that is not waiting": json.dumps({**GOOD, "status": "running"}),
    "a key that is no attribute": json.dumps({**GOOD, "__class__": "x"}),
    "deep nesting": "[" * 100_000,
    "a deeply nested value": '{"task_id":' + '{"a":' * 50_000,
    "a number of many digits": '{"run": ' + "9" * 5000 + "}",
    "half a character": json.dumps({**GOOD, "task_id": "\ud800"}),
    "an empty id": json.dumps({**GOOD, "task_id": ""}),
    "a number that no table keeps": json.dumps({**GOOD, "due_at": 10**40}),
    "a negative number": json.dumps({**GOOD, "timeout_seconds": -(10**40)}),
    "much": json.dumps({**GOOD, "extra": "x" * 1_000_000}),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in POISON.items()])
def test_what_no_tasklane_wrote_is_no_message(body: str) -> None:
    with pytest.raises(InvalidMessage):
        TaskMessage.from_json(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"task_id": "t"},
        {"number": 1},
        {"task_id": "t", "number": True},
        {"task_id": "t", "number": "1"},
        {"task_id": None, "number": 1},
        {"task_id": "t", "number": 1, "send_at": None},
        {"task_id": "\udfff", "number": 1},
        {"task_id": "t", "number": 10**40},
        {"task_id": "t", "number": 1, "event": 1},
        {"task_id": "t", "number": 1, "event": "running", "sequence": "1"},
        GOOD,
    ],
)
def test_what_no_tasklane_wrote_is_no_callback_message(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidMessage):
        CallbackMessage.from_json(json.dumps(fields))


@given(st.text())
def test_any_text_is_a_message_or_poison(body: str) -> None:
    with pytest.raises(InvalidMessage):
        TaskMessage.from_json(body)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [(None, 0), (NOW - 1, 0), (NOW, 0), (NOW + 1, 1), (NOW + 1000, 1), (NOW + 1001, 2), (NOW + 10**9, 900)],
)
def test_a_delay_is_in_whole_seconds_rounded_up_to_at_most_a_quarter_hour(at: int | None, seconds: int) -> None:
    assert delay_seconds(at, NOW) == seconds
    assert a_message(a_task(), run_at=at).delay_seconds(NOW) == seconds
    assert CallbackMessage(task_id="t", number=1, send_at=at).delay_seconds(NOW) == seconds
