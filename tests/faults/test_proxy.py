"""The proxy breaks requests as it says: what the other tests prove rests on that."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ReadTimeoutError

from tests.faults.plans import WAITED_FOR, Fault, always, no_faults, seeded
from tests.faults.proxy import FaultProxy
from tests.support.engine import Aws
from tests.support.waiting import wait_for

ONCE = Config(read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1}, s3={"addressing_style": "path"})


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[Aws]:
    """Clients that go through the proxy and ask once."""
    aws = Aws(endpoint=proxy.endpoint)
    for service in ("sqs", "dynamodb", "s3"):
        aws.client(service, ONCE)
    yield aws
    aws.close()


@pytest.mark.parametrize(
    ("fault", "error", "taken"),
    [
        (Fault.IGNORE, ReadTimeoutError, 0),
        (Fault.WITHHOLD, ReadTimeoutError, 1),
        (Fault.REFUSE, HTTPClientError, 0),
        (Fault.DROP, HTTPClientError, 1),
        (Fault.ERROR, ClientError, 0),
        (Fault.THROTTLE, ClientError, 0),
        (Fault.DELAY, None, 1),
        (Fault.DOUBLE, None, 2),
    ],
)
def test_a_send_is_broken(
    aws: Aws, through: Aws, proxy: FaultProxy, fault: Fault, error: type[Exception] | None, taken: int
) -> None:
    queue = aws.a_queue()
    proxy.begin(always(fault, "SendMessage"))
    if error is None:
        through.sqs.send_message(QueueUrl=queue, MessageBody="hello")
    else:
        with pytest.raises(error):
            through.sqs.send_message(QueueUrl=queue, MessageBody="hello")

    assert len(aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])) == taken
    assert proxy.faults == {("SendMessage", fault): 1}
    wait_for(lambda: proxy.timeouts.total() == (fault in WAITED_FOR))


def test_a_batch_of_sends_is_refused_in_part(aws: Aws, through: Aws, proxy: FaultProxy) -> None:
    queue = aws.a_queue()
    proxy.begin(always(Fault.PARTIAL, "SendMessageBatch"))
    entries: Any = [{"Id": str(n), "MessageBody": str(n)} for n in range(10)]
    answer = through.sqs.send_message_batch(QueueUrl=queue, Entries=entries)

    refused, said = {one["Id"] for one in answer["Failed"]}, {one["Id"] for one in answer["Successful"]}
    received = aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    taken = {one["Body"] for one in received}
    assert refused
    assert refused | said == {str(n) for n in range(10)}
    assert said < taken, "some of the refused were taken all the same"


def test_a_batch_of_statements_is_refused_in_part(aws: Aws, through: Aws, proxy: FaultProxy) -> None:
    table = aws.a_table()
    proxy.begin(always(Fault.PARTIAL, "BatchExecuteStatement"))
    insert = f"INSERT INTO \"{table}\" VALUE {{'task_id': ?, 'status': ?, 'run': ?}}"
    statements: Any = [{"Statement": insert, "Parameters": [{"S": str(n)}, {"S": "x"}, {"N": "0"}]} for n in range(10)]
    proxy.keeps_journal = False
    answers = through.dynamodb.batch_execute_statement(Statements=statements)["Responses"]

    refused = {n for n, answer in enumerate(answers) if "Error" in answer}
    kept = aws.dynamodb.scan(TableName=table)["Items"]
    assert 0 < len(refused) < 10
    assert 10 - len(refused) < len(kept) < 10


def test_received_messages_come_doubled_and_none_is_missing(aws: Aws, through: Aws, proxy: FaultProxy) -> None:
    queue = aws.a_queue()
    for n in range(4):
        aws.sqs.send_message(QueueUrl=queue, MessageBody=str(n))
    proxy.begin(always(Fault.REPEAT, "ReceiveMessage"))
    received = through.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]

    assert sorted(one["Body"] for one in received) == ["0", "0", "1", "1", "2", "2", "3", "3"]


def test_a_bucket_is_throttled_in_its_own_words(aws: Aws, through: Aws, proxy: FaultProxy) -> None:
    bucket = aws.a_bucket()
    proxy.begin(always(Fault.THROTTLE, "PutObject"))
    with pytest.raises(ClientError, match="SlowDown"):
        through.s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    proxy.begin(no_faults)
    through.s3.put_object(Bucket=bucket, Key="k", Body=b"v")

    assert aws.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"


def test_the_same_seed_breaks_the_same_requests() -> None:
    asked = [(operation, n) for operation in ("SendMessage", "UpdateItem") for n in range(500)]
    first, again, other = ([seeded(seed, 0.2)(operation, n) for operation, n in asked] for seed in (1, 1, 2))

    assert first == again != other
    assert 150 < sum(fault is not None for fault in first) < 250
    assert not {Fault.KILL_BEFORE, Fault.KILL_AFTER} & {fault for fault in first if fault}
    slow = [seeded(1, 0.2, waited_for=0.1)(operation, n) for operation, n in asked]
    assert [n for n, fault in enumerate(slow) if fault] == [n for n, fault in enumerate(first) if fault]
    assert 5 < sum(fault in WAITED_FOR for fault in slow) < 45
