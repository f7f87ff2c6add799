"""What AWS refuses, answers in part, or does not answer, reaches the use cases as Unavailable and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.config import Config
from botocore.stub import Stubber

from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.items import to_item
from tasklane.adapters.memory import ManualClock
from tasklane.adapters.s3 import S3BlobStore
from tasklane.adapters.signing_secrets import StoredSigningSecrets
from tasklane.adapters.sqs import SqsCallbackQueue, SqsMessageSource, SqsQueueDepths, SqsTaskQueue
from tasklane.adapters.table import ROUNDS
from tasklane.errors import ConfigurationError, Unavailable
from tasklane.message import CallbackMessage
from tasklane.task import Status
from tests.support.builders import (
    NOW,
    OLDER_SECRET,
    SECRET,
    a_change,
    a_claim,
    a_message,
    a_running_task,
    a_task,
)
from tests.support.engine import Aws, free_port

ONE_TRY = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
URLS = {lane: f"https://sqs.us-east-1.amazonaws.com/123456789012/lane-{lane}" for lane in range(6)}


@pytest.fixture
def nowhere() -> Iterator[Aws]:
    """An endpoint that refuses connections."""
    aws = Aws(endpoint=f"http://127.0.0.1:{free_port()}")
    yield aws
    aws.close()


@contextmanager
def stubbed(service: str) -> Iterator[tuple[Any, Stubber]]:
    """A client whose answers a test gives, and that must have asked for all of them."""
    aws = Aws(endpoint=None)
    client = aws.client(service, ONE_TRY)
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()
    aws.close()


def throttled(stub: Stubber, operation: str) -> None:
    stub.add_client_error(operation, "ThrottlingException", "Rate exceeded", http_status_code=400)


def refused(answers: list[Any]) -> list[bool]:
    return [isinstance(answer, Unavailable) for answer in answers]


# -- no answer at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("batches", ["batches", "one by one"])
def test_a_table_out_of_reach_is_an_answer_for_each_write(nowhere: Aws, count: int, batches: str) -> None:
    store = DynamoDbTaskStore(nowhere.client("dynamodb", ONE_TRY), "tasks", batches=batches == "batches")
    tasks = [a_task() for _ in range(count)]

    assert refused(store.put(tasks)) == [True] * count
    assert refused(store.claim([a_claim(task) for task in tasks])) == [True] * count
    assert refused(store.save([a_change(task, status=Status.CANCELLED) for task in tasks])) == [True] * count


def test_reads_of_a_table_out_of_reach_raise(nowhere: Aws) -> None:
    store = DynamoDbTaskStore(nowhere.client("dynamodb", ONE_TRY), "tasks")
    reads: list[Callable[[], Any]] = [
        lambda: store.get(["a"]),
        lambda: store.get(["a", "b"]),
        lambda: store.due("0", NOW, 5),
        store.check,
    ]

    for read in reads:
        with pytest.raises(Unavailable):
            read()


def test_queues_out_of_reach_are_an_answer_for_each_message(nowhere: Aws) -> None:
    client = nowhere.client("sqs", ONE_TRY)
    lanes = SqsTaskQueue(client, URLS, ManualClock())
    callbacks = SqsCallbackQueue(client, URLS[0], ManualClock())

    assert refused(lanes.send([a_message()])) == [True]
    assert refused(lanes.send([a_message(a_task(priority=1 + n % 2)) for n in range(25)])) == [True] * 25
    assert refused(callbacks.send([CallbackMessage(task_id="a", number=1)] * 12)) == [True] * 12
    for check in (lanes.check, callbacks.check):
        with pytest.raises(Unavailable):
            check()


def test_a_source_out_of_reach_raises(nowhere: Aws) -> None:
    source = SqsMessageSource(nowhere.client("sqs", ONE_TRY), URLS)
    calls: list[Callable[[], Any]] = [
        lambda: source.receive(1, 10, 0),
        lambda: source.acknowledge(1, ["handle"]),
        lambda: source.release(1, ["handle"], 0),
    ]

    for call in calls:
        with pytest.raises(Unavailable):
            call()


def test_depths_out_of_reach_raise(nowhere: Aws) -> None:
    depths = SqsQueueDepths(nowhere.client("sqs", ONE_TRY), URLS, URLS)

    with pytest.raises(Unavailable, match="lane-4"):
        depths.depths([4])


def test_dead_letters_are_held_for_the_time_that_was_asked_for() -> None:
    with stubbed("sqs") as (client, stub):
        wanted = {"QueueUrl": URLS[3], "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": 60}
        stub.add_response("receive_message", {}, wanted)

        assert SqsMessageSource(client, URLS, hold_seconds=60).receive(3, 25, 1) == []


def test_a_bucket_out_of_reach_raises(nowhere: Aws) -> None:
    blobs = S3BlobStore(nowhere.client("s3", ONE_TRY), "bucket")
    calls: list[Callable[[], Any]] = [
        lambda: blobs.put("key", b"content"),
        lambda: blobs.get("key"),
        lambda: blobs.delete_all("key/"),
    ]

    for call in calls:
        with pytest.raises(Unavailable):
            call()


@pytest.mark.parametrize("place", ["/tasklane/secrets", "arn:aws:secretsmanager:us-east-1:1:secret:tasklane-AbCdEf"])
def test_secrets_out_of_reach_are_unavailable(nowhere: Aws, place: str) -> None:
    secrets = StoredSigningSecrets(
        ssm=lambda: nowhere.client("ssm", ONE_TRY),
        secrets_manager=lambda: nowhere.client("secretsmanager", ONE_TRY),
        installation=place,
    )

    assert isinstance(secrets.current(["acme"])["acme"], Unavailable)


# -- the table: throttling, and answers in part ------------------------------------------------------------------------


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


# -- queues: 200 with failures inside ----------------------------------------------------------------------------------


def test_messages_that_a_queue_did_not_take_are_told_from_those_it_took() -> None:
    messages = [a_message() for _ in range(13)]
    with stubbed("sqs") as (client, stub):
        failure = {"SenderFault": False, "Code": "ServiceUnavailable", "Message": "…"}
        first = {
            "Successful": [sent(n) for n in (0, 1, 3, 4, 5, 6, 9)],
            "Failed": [{"Id": str(n), **failure} for n in (2, 7)],  # nothing is said of 8
        }
        stub.add_response("send_message_batch", first)
        stub.add_response("send_message_batch", {"Successful": [sent(n) for n in range(3)], "Failed": []})

        answers = SqsTaskQueue(client, URLS, ManualClock()).send(messages)

    assert [position for position, answer in enumerate(answers) if answer is not None] == [2, 7, 8]
    assert "ServiceUnavailable" in str(answers[2])


def sent(number: int) -> dict[str, str]:
    return {"Id": str(number), "MessageId": f"m-{number}", "MD5OfMessageBody": "0" * 32}


def test_lanes_answer_in_the_order_of_the_messages() -> None:
    low, high = a_message(a_task(priority=1)), a_message(a_task(priority=5))
    with stubbed("sqs") as (client, stub):
        throttled(stub, "send_message")  # lane 1 is sent first
        stub.add_response("send_message", {"MessageId": "m", "MD5OfMessageBody": "0" * 32})

        assert refused(SqsTaskQueue(client, URLS, ManualClock()).send([high, low])) == [False, True]


def test_a_delay_is_rounded_up_and_no_longer_than_a_queue_allows() -> None:
    clock = ManualClock(NOW)
    delays = {NOW - 1: None, NOW + 1: 1, NOW + 1001: 2, NOW + 899_001: 900, NOW + 5_000_000: 900}
    for run_at, seconds in delays.items():
        message = a_message(a_task(status=Status.SCHEDULED, run_at=run_at))
        with stubbed("sqs") as (client, stub):
            wanted: dict[str, Any] = {
                "QueueUrl": URLS[3],
                "MessageBody": message.to_json(),
                "MessageGroupId": "default",
            }
            wanted |= {} if seconds is None else {"DelaySeconds": seconds}
            stub.add_response("send_message", {"MessageId": "m", "MD5OfMessageBody": "0" * 32}, wanted)

            assert SqsTaskQueue(client, URLS, clock).send([message]) == [None]


def test_messages_that_were_not_acknowledged_or_released_raise() -> None:
    failed = {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]}
    with stubbed("sqs") as (client, stub):
        source = SqsMessageSource(client, URLS)
        stub.add_response("delete_message_batch", failed)
        with pytest.raises(Unavailable, match="ReceiptHandleIsInvalid"):
            source.acknowledge(1, ["handle"])
        stub.add_response("change_message_visibility_batch", failed)
        with pytest.raises(Unavailable, match="ReceiptHandleIsInvalid"):
            source.release(1, ["handle"], 0)


# -- bucket and secrets ------------------------------------------------------------------------------------------------


def test_an_object_that_may_not_be_read_is_unavailable_not_missing() -> None:
    with stubbed("s3") as (client, stub):
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)

        with pytest.raises(Unavailable, match="AccessDenied"):
            S3BlobStore(client, "bucket").get("key")


def test_an_object_that_is_not_there_is_nothing() -> None:
    with stubbed("s3") as (client, stub):
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)

        assert S3BlobStore(client, "bucket").get("key") is None


def test_objects_that_were_not_deleted_are_unavailable() -> None:
    with stubbed("s3") as (client, stub):
        listed = {"Contents": [{"Key": "t/payload-1"}], "IsTruncated": False}
        stub.add_response("list_objects_v2", listed)
        stub.add_response("delete_objects", {"Errors": [{"Key": "t/payload-1", "Code": "InternalError"}]})

        with pytest.raises(Unavailable, match="InternalError"):
            S3BlobStore(client, "bucket").delete_all("t/")


def secrets_in(ssm: Any) -> StoredSigningSecrets:
    return StoredSigningSecrets(ssm=lambda: ssm, secrets_manager=lambda: ssm, installation="/tasklane/secrets")


def test_signing_secrets_are_read_decrypted_and_kept_for_a_while() -> None:
    with stubbed("ssm") as (client, stub):
        wanted = {"Names": ["/tasklane/secrets"], "WithDecryption": True}
        found = {"Parameters": [{"Name": "/tasklane/secrets", "Value": f"{SECRET}\n{OLDER_SECRET}\n"}]}
        stub.add_response("get_parameters", found, wanted)
        secrets = secrets_in(client)

        assert secrets.current(["a"])["a"] == secrets.current(["b"])["b"] == (SECRET, OLDER_SECRET)


@pytest.mark.parametrize("value", ["  \n ", "whsec_not-base64!", "plain"])
def test_a_parameter_without_usable_secrets_is_a_configuration_error(value: str) -> None:
    with stubbed("ssm") as (client, stub):
        stub.add_response("get_parameters", {"Parameters": [{"Name": "/tasklane/secrets", "Value": value}]})

        assert isinstance(secrets_in(client).current(["a"])["a"], ConfigurationError)
