"""Accepting tasks: what is kept, what is sent, what is refused, and what a repetition gets."""

import json
import threading
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from tasklane.document import INLINE_LIMIT, MAX_DOCUMENT
from tasklane.errors import (
    DocumentTooLarge,
    IdempotencyConflict,
    InvalidPayload,
    InvalidRequest,
    TasklaneError,
    Unavailable,
    UnknownTaskType,
)
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.submit import Submitted
from tasklane.task import Callback, Status
from tasklane.timing import MAX_DELAY_MS
from tests.support.builders import NOW
from tests.support.installation import Installation


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")

    number: int = 1


@pytest.fixture(autouse=True)
def types(registry: Registry) -> None:
    @registry.task("order", priority=4, timeout_seconds=20, retry=RetryPolicy(max_attempts=5))
    def order(payload: Order) -> None: ...

    registry.declare_external("scan")


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_task_is_kept_with_what_its_type_says_and_sent_down_its_lane(home: Installation) -> None:
    task = home.submit("order", {"number": 7})

    assert home.store.only() == task
    assert (task.status, task.created_at, task.run, task.run_at) == (Status.PENDING, NOW, 0, None)
    assert (task.priority, task.timeout_seconds, task.max_attempts, task.tenant) == (4, 20, 5, "default")
    assert (task.payload.text, task.due_at, task.lease_id) == ('{"number":7}', NOW + 180_000, None)
    assert home.lanes.sent == [TaskMessage.of(task)]
    assert home.queues.depth(4) == 1


def test_a_caller_may_ask_otherwise(home: Installation) -> None:
    task = home.submit(
        "order",
        priority=1,
        tenant="acme",
        max_attempts=1,
        timeout_seconds=900,
        labels={"a": "b"},
        callback_url="https://hooks.example.com/",
        correlation_id="req-9",
    )

    assert (task.priority, task.tenant, task.max_attempts, task.timeout_seconds) == (1, "acme", 1, 900)
    assert (task.labels, task.callback) == ({"a": "b"}, Callback(url="https://hooks.example.com/"))
    assert task.correlation_id == "req-9"


def test_a_large_payload_goes_to_the_blob_store(home: Installation) -> None:
    task = home.submit("order", {"text": "x" * INLINE_LIMIT})

    assert task.payload.text is None
    assert task.has_blobs
    assert json.loads(home.text(task.payload))["text"] == "x" * INLINE_LIMIT


def test_a_type_for_external_workers_is_kept_and_not_sent(home: Installation) -> None:
    task = home.submit("scan", {"any": "thing"})

    assert home.task(task).status is Status.PENDING
    assert home.lanes.sent == []


# -- when --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"delay_seconds": 60}, {"run_at": NOW + 60_000}])
def test_a_task_for_later_is_sent_at_once_to_arrive_in_time(home: Installation, fields: dict[str, Any]) -> None:
    task = home.submit("order", **fields)

    assert (task.status, task.run_at, task.due_at) == (Status.SCHEDULED, NOW + 60_000, NOW + 60_000 + 180_000)
    assert home.lanes.sent[0].delay_seconds(NOW) == 60


def test_a_task_that_no_queue_carries_to_its_time_is_not_sent_yet(home: Installation) -> None:
    task = home.submit("order", delay_seconds=3600)

    assert home.lanes.sent == []
    assert task.due_at is not None
    assert NOW < task.due_at < NOW + 3_600_000


@pytest.mark.parametrize("fields", [{"delay_seconds": 0}, {"run_at": NOW}, {"run_at": NOW - 1}, {"run_at": 0}])
def test_a_time_that_has_come_is_at_once(home: Installation, fields: dict[str, Any]) -> None:
    task = home.submit("order", **fields)

    assert (task.status, task.run_at) == (Status.PENDING, None)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"delay_seconds": 5, "run_at": NOW + 1}, "/run_at"),
        ({"delay_seconds": 0, "run_at": NOW + 1}, "/run_at"),
        ({"run_at": NOW + MAX_DELAY_MS + 1}, "/run_at"),
        ({"delay_seconds": MAX_DELAY_MS // 1000 + 1}, "/delay_seconds"),
        ({"expires_at": NOW}, "/expires_at"),
        ({"expires_at": NOW - 1}, "/expires_at"),
        ({"expires_at": NOW + 60_000, "delay_seconds": 60}, "/expires_at"),
        ({"expires_at": NOW + 59_000, "run_at": NOW + 60_000}, "/expires_at"),
    ],
)
def test_times_that_make_no_sense_are_pointed_at(home: Installation, fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        home.submit("order", **fields)

    assert [issue["pointer"] for issue in caught.value.issues] == [pointer]
    assert home.lanes.sent == []


def test_a_task_that_expires_is_looked_at_then(home: Installation) -> None:
    task = home.submit("order", expires_at=NOW + 30_000)

    assert (task.expires_at, task.due_at) == (NOW + 30_000, NOW + 31_000)
    assert home.submit("order", expires_at=NOW + 60_001, delay_seconds=60).expires_at == NOW + 60_001
    home.submit("order", run_at=NOW + MAX_DELAY_MS)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "sell"}, UnknownTaskType),
        ({"type": "order", "payload": {"number": "many"}}, InvalidPayload),
        ({"type": "order", "payload": {"text": "x" * MAX_DOCUMENT}}, DocumentTooLarge),
        ({"type": "order", "payload": {"x": float("nan")}}, InvalidPayload),
        ({"type": "scan", "payload": {"x": "\ud800"}}, InvalidPayload),
        ({"type": "scan", "payload": {"x": object()}}, InvalidPayload),
    ],
)
def test_what_cannot_be_accepted_is_neither_kept_nor_sent(
    home: Installation, fields: dict[str, Any], error: type[TasklaneError]
) -> None:
    with pytest.raises(error):
        home.submitted(**fields)

    assert home.store._tasks == {}
    assert home.lanes.sent == []


def test_a_payload_nested_too_deeply_is_refused(home: Installation) -> None:
    nested: dict[str, Any] = {}
    for _ in range(100_000):
        nested = {"a": nested}

    with pytest.raises(InvalidPayload):
        home.submit("scan", nested)


def test_a_task_that_cannot_be_kept_is_not_accepted(home: Installation) -> None:
    home.store.refuse("put")
    with pytest.raises(Unavailable):
        home.submit("order")
    home.blobs.refuse = 1
    with pytest.raises(Unavailable):
        home.submit("order", {"text": "x" * INLINE_LIMIT})
    assert home.lanes.sent == []


def test_a_task_that_cannot_be_sent_is_accepted_all_the_same(home: Installation) -> None:
    home.lanes.refuse = 1

    task = home.submit("order")

    assert home.task(task).status is Status.PENDING
    assert home.queues.depth(4) == 0
    home.clock.advance(181)
    home.sweep()
    assert home.queues.depth(4) == 1


# -- idempotency -------------------------------------------------------------------------------------------------------


def ordered(
    home: Installation, key: str = "k-1", caller: str = "alice", body: str = "body", **fields: Any
) -> Submitted:
    """A submission under an idempotency key."""
    return home.submitted(type="order", idempotency_key=key, caller=caller, request_hash=body, **fields)


def test_a_repeated_request_gets_the_same_task_and_sends_nothing(home: Installation) -> None:
    first = ordered(home)
    home.clock.advance(5)
    second = ordered(home)

    assert (first.replayed, second.replayed) == (False, True)
    assert second.task == first.task == home.store.only()
    assert len(home.lanes.sent) == 1


def test_a_repetition_gets_the_task_as_it_is_by_then(home: Installation) -> None:
    first = ordered(home)
    home.work(lane=4)

    assert ordered(home).task.status is Status.COMPLETED
    assert ordered(home).task.id == first.task.id


def test_another_request_under_the_same_key_is_refused(home: Installation) -> None:
    first = ordered(home)

    with pytest.raises(IdempotencyConflict) as caught:
        ordered(home, body="another")

    assert first.task.id in caught.value.issues[0]["detail"]
    assert home.store.only() == first.task


def test_keys_of_different_callers_never_meet(home: Installation) -> None:
    assert ordered(home).task.id != ordered(home, caller="bob").task.id
    assert ordered(home).task.id != ordered(home, key="k-2").task.id
    assert len(home.store._tasks) == 3


def test_a_refused_repetition_does_not_touch_the_kept_payload(home: Installation) -> None:
    first = ordered(home, payload={"text": "x" * INLINE_LIMIT})

    with pytest.raises(IdempotencyConflict):
        ordered(home, body="another", payload={"text": "y" * INLINE_LIMIT})

    assert json.loads(home.text(first.task.payload))["text"] == "x" * INLINE_LIMIT


def test_a_repetition_whose_times_have_passed_still_gets_its_task(home: Installation) -> None:
    first = ordered(home, expires_at=NOW + 10_000)
    home.clock.advance(20)

    again = ordered(home, expires_at=NOW + 10_000)

    assert (again.replayed, again.task) == (True, first.task)
    with pytest.raises(InvalidRequest):
        ordered(home, key="k-2", expires_at=NOW + 10_000)
    with pytest.raises(InvalidRequest):
        ordered(home, body="another", expires_at=NOW + 10_000)
    with pytest.raises(InvalidRequest):
        home.submit("order", expires_at=NOW + 10_000)


def test_of_requests_at_the_same_moment_one_makes_the_task(home: Installation) -> None:
    ready, answers = threading.Barrier(8), list[Submitted]()

    def request() -> None:
        ready.wait(10)
        answers.append(ordered(home))

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert {answer.task.id for answer in answers} == {home.store.only().id}
    assert len(home.lanes.sent) == 1


def test_without_a_key_every_request_makes_a_task(home: Installation) -> None:
    assert home.submit("order", request_hash="body").id != home.submit("order", request_hash="body").id
    assert all(task.request_hash is None for task in home.store._tasks.values())
