"""What a table throttles or answers in part reaches the use cases as Unavailable, and only that."""

from typing import Any

import pytest

from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.items import to_item
from tasklane.adapters.table import ROUNDS
from tasklane.errors import Unavailable
from tasklane.task import Status
from tests.contract.refusals.conftest import refused, stubbed, throttled
from tests.support.builders import a_change, a_claim, a_running_task, a_task


def test_throttled_writes_are_unavailable() -> None:
    task = a_task()
    with stubbed("dynamodb") as (client, stub):
        store = DynamoDbTaskStore(client, "tasks")
        throttled(stub, "put_item")
        assert refused(store.put([task])) == [True]
        throttled(stub, "update_item")
        assert refused(store.claim([a_claim(task)])) == [True]
        throttled(stub, "update_item")
        assert refused(store.save([a_change(task, due_at=None)])) == [True]
        throttled(stub, "batch_execute_statement")
        assert refused(store.save([a_change(task, due_at=None)] * 2)) == [True] * 2


def test_of_a_batch_only_the_throttled_writes_are_unavailable() -> None:
    tasks = [a_running_task() for _ in range(3)]
    throttle = {"Code": "ThrottlingError", "Message": "Rate exceeded"}
    gone = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    with stubbed("dynamodb") as (client, stub):
        store = DynamoDbTaskStore(client, "tasks")
        stub.add_response("batch_execute_statement", {"Responses": [{"Error": throttle}, {}, {"Error": gone}]})
        first, second, third = store.save([a_change(task, status=Status.FAILED) for task in tasks])
        assert isinstance(first, Unavailable)
        assert (second, third) == (True, False)

        stub.add_response(
            "batch_execute_statement",
            {"Responses": [{"Item": to_item(tasks[0])}, {"Error": throttle}, {"Error": gone}]},
        )
        claims = store.claim([a_claim(task, status="pending") for task in tasks])
        assert claims[0] == tasks[0]
        assert isinstance(claims[1], Unavailable)
        assert claims[2] is None


def test_one_chunk_of_a_batch_may_fail_while_the_others_are_written() -> None:
    changes = [a_change(a_running_task(), status=Status.FAILED) for _ in range(60)]
    with stubbed("dynamodb") as (client, stub):
        stub.add_response("batch_execute_statement", {"Responses": [{}] * 25})
        throttled(stub, "batch_execute_statement")
        stub.add_response("batch_execute_statement", {"Responses": [{}] * 10})

        answers = DynamoDbTaskStore(client, "tasks").save(changes)

    assert refused(answers) == [False] * 25 + [True] * 25 + [False] * 10


def test_a_batch_of_puts_tells_taken_ids_from_refusals() -> None:
    tasks = [a_task() for _ in range(4)]
    taken = tasks[1].evolve(labels={"made": "before"})
    with stubbed("dynamodb") as (client, stub):
        store = DynamoDbTaskStore(client, "tasks")
        duplicate = {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}}
        throttle = {"Error": {"Code": "ProvisionedThroughputExceeded", "Message": "…"}}
        stub.add_response("batch_execute_statement", {"Responses": [{}, duplicate, throttle, duplicate]})
        stub.add_client_error("put_item", "ConditionalCheckFailedException", modeled_fields={"Item": to_item(taken)})
        stub.add_response("put_item", {})  # the last one's id has become free in between

        answers = store.put(tasks)

    assert answers[:2] == [tasks[0], taken]
    assert refused(answers[2:3]) == [True]
    assert answers[3] == tasks[3]


def test_a_taken_id_of_a_batch_that_is_not_answered_for_is_unavailable() -> None:
    with stubbed("dynamodb") as (client, stub):
        duplicate = {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}}
        stub.add_response("batch_execute_statement", {"Responses": [{}, duplicate]})
        throttled(stub, "put_item")

        assert refused(DynamoDbTaskStore(client, "tasks").put([a_task(), a_task()])) == [False, True]


def test_keys_left_unprocessed_are_asked_for_again() -> None:
    tasks = [a_task() for _ in range(3)]
    keys = [{"task_id": {"S": task.id}} for task in tasks]

    def asked(wanted: list[Any]) -> dict[str, Any]:
        return {"RequestItems": {"tasks": {"Keys": wanted, "ConsistentRead": True}}}

    def left(wanted: list[Any]) -> dict[str, Any]:
        return {"tasks": {"Keys": wanted, "ConsistentRead": True}} if wanted else {}

    with stubbed("dynamodb") as (client, stub):
        for position, task in enumerate(tasks):
            answer = {"Responses": {"tasks": [to_item(task)]}, "UnprocessedKeys": left(keys[position + 1 :])}
            stub.add_response("batch_get_item", answer, asked(keys[position:]))

        found = DynamoDbTaskStore(client, "tasks").get([task.id for task in tasks])

    assert found == {task.id: task for task in tasks}


def test_keys_that_stay_unprocessed_are_unavailable() -> None:
    keys = {"tasks": {"Keys": [{"task_id": {"S": "a"}}]}}
    with stubbed("dynamodb") as (client, stub):
        for _ in range(ROUNDS):
            stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": keys})

        with pytest.raises(Unavailable):
            DynamoDbTaskStore(client, "tasks").get(["a", "b"])
