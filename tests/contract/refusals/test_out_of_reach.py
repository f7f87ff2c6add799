"""What does not answer at all reaches the use cases as Unavailable and nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.local.engine import free_port
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.memory import ManualClock
from tasklane.adapters.s3 import S3BlobStore
from tasklane.adapters.signing_secrets import StoredSigningSecrets
from tasklane.adapters.sqs import SqsCallbackQueue, SqsMessageSource, SqsQueueDepths, SqsTaskQueue
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage
from tasklane.task import Status
from tests.contract.refusals.conftest import ONE_TRY, URLS, refused
from tests.support.builders import NOW, a_change, a_claim, a_message, a_task
from tests.support.engine import Aws


@pytest.fixture
def nowhere() -> Iterator[Aws]:
    """An endpoint that refuses connections."""
    aws = Aws(endpoint=f"http://127.0.0.1:{free_port()}")
    yield aws
    aws.close()


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
    source = SqsMessageSource(lambda: nowhere.client("sqs", ONE_TRY), URLS)
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
