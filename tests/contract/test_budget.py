"""What a task costs on AWS: 100 tasks, from submission to result, counted request by request and unit by unit.

The budget: at most four requests a task and three shared by a batch of ten (receive, delete, and the
invocation itself); at most six write units, indexes included; no read units.

A process asks once in five seconds what is paused. That is no task's: however many tasks there are, it stays one.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from infra.local.target import ACCOUNT_KEY, REGION
from tasklane import observability
from tasklane.adapters.sqs import CALLBACKS
from tasklane.bootstrap import Services
from tasklane.gate import REMEMBER_MS
from tasklane.registry import Registry
from tasklane.settings import Settings
from tasklane.submit import Submission
from tasklane.task import Status
from tests.contract.conftest import LANES
from tests.support.aws_lambda import LambdaContext, sqs_event
from tests.support.engine import Aws, tasks_table
from tests.support.metering import READS, Meter, item_size, write_units
from tests.support.payloads import Anything
from worker import entrypoint

pytestmark = pytest.mark.engine

TASKS = 100
BATCH = 10
REQUESTS_A_TASK = 4
REQUESTS_A_BATCH = 3
UNITS_A_TASK = 6
PROSE = (
    "the customer ordered three large parcels of green tea for delivery before noon on Friday because their office in "
    "Hamburg moves next week and nobody will be there to sign please ring the bell twice and leave a note with the "
    "neighbour on the second floor if there is no answer the invoice number is part of the attached document and must "
    "be paid within fourteen days after arrival otherwise contact accounting using the address given below thank you"
)


@dataclass(frozen=True, kw_only=True)
class Metered:
    """An installation on the engine whose every request is counted."""

    services: Services
    meter: Meter
    sqs: Any
    lane_url: str

    def submit(self, kind: str, payload: dict[str, Any]) -> str:
        return self.services.submit(Submission(type=kind, payload=payload)).task.id

    def invoke(self) -> None:
        """What Lambda's poller does: receive a batch, hand it to the function, delete what was handled."""
        answer = self.sqs.receive_message(QueueUrl=self.lane_url, MaxNumberOfMessages=BATCH)
        received = answer.get("Messages", [])
        assert len(received) == BATCH
        event = sqs_event([one["Body"] for one in received])
        assert entrypoint.work(event, LambdaContext(), self.services) == {"batchItemFailures": []}
        entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(received)]
        self.sqs.delete_message_batch(QueueUrl=self.lane_url, Entries=entries)


@pytest.fixture
def metered(engine_aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metered]:
    """The services as a function builds them; only the session that makes their clients is a watched one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(engine_aws.endpoint))
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tasklane")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "worker")
    observability.get_metrics.cache_clear()
    table = engine_aws.a_table()
    urls = {lane: engine_aws.a_queue() for lane in (CALLBACKS, *LANES)}
    keys = {
        index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
        for index in tasks_table()["GlobalSecondaryIndexes"]
    }
    session = boto3.Session(ACCOUNT_KEY, ACCOUNT_KEY, region_name=REGION)
    meter = Meter(observer=engine_aws.dynamodb, table=table, indexes=keys)
    meter.hook(session.events)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    settings = Settings(
        tasks_table=table,
        control_table=engine_aws.a_control_table(),
        bucket=engine_aws.a_bucket(),
        lane_urls={lane: urls[lane] for lane in LANES},
        callback_queue_url=urls[CALLBACKS],
    )
    services = Services(settings, registry=task_types())
    yield Metered(services=services, meter=meter, sqs=boto3.client("sqs"), lane_url=urls[3])
    services.execute.close()
    observability.get_metrics.cache_clear()


def task_types() -> Registry:
    registry = Registry()

    @registry.task("count")
    def count(payload: Anything) -> dict[str, int]:
        return {"words": len(str(payload.model_extra).split())}

    @registry.task("echo")
    async def echo(payload: Anything) -> dict[str, Any] | None:
        return payload.model_extra

    return registry


def small(number: int) -> dict[str, Any]:
    return {"n": number % 90, "note": "nothing of interest"}


def a_kilobyte_of_text(number: int) -> dict[str, Any]:
    """JSON of just not more than 1 KiB, such as a form would send."""
    chosen, words = random.Random(number), PROSE.split()
    payload = {"order": f"A-{number:06}", "customer": f"customer-{chosen.randrange(10**8)}", "amount": 12.5, "text": ""}
    while len(json.dumps(payload, separators=(",", ":"))) < 1024:
        payload["text"] = f"{payload['text']} {chosen.choice(words)}"
    payload["text"] = str(payload["text"]).rpartition(" ")[0]
    return payload


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        pytest.param("echo", small, id="a small payload and as small a result"),
        pytest.param("count", a_kilobyte_of_text, id="a payload of 1 KiB of text", marks=pytest.mark.long),
        pytest.param("echo", a_kilobyte_of_text, id="a payload of 1 KiB of text and as large a result"),
    ],
)
def test_a_hundred_tasks_keep_to_the_budget(
    metered: Metered, kind: str, payload: Callable[[int], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    ids = [metered.submit(kind, payload(number)) for number in range(TASKS)]
    for _ in range(TASKS // BATCH):
        metered.invoke()

    requests, units = metered.meter.requests, metered.meter.write_units
    assert 1 <= requests.pop("Query") <= 1 + (time.monotonic() - begun) * 1000 / REMEMBER_MS
    with capsys.disabled():
        each = {name: count / TASKS for name, count in sorted(requests.items())}
        print(f"\n{kind}: {units / TASKS:.2f} write units and {requests.total() / TASKS:.2f} requests a task: {each}")
    tasks = metered.services.store.get(ids).values()
    assert {task.status for task in tasks} == {Status.COMPLETED}
    assert len(tasks) == TASKS
    assert requests.keys() & READS == {"BatchGetItem"}, "only the test itself has read"
    del requests["BatchGetItem"]
    single = sum(count for name, count in requests.items() if name not in ("ReceiveMessage", "DeleteMessageBatch"))
    assert single <= REQUESTS_A_TASK * TASKS
    assert requests["ReceiveMessage"] + requests["DeleteMessageBatch"] + TASKS // BATCH <= (
        REQUESTS_A_BATCH * TASKS // BATCH
    )
    assert units <= UNITS_A_TASK * TASKS


def test_the_meter_follows_the_rules_that_aws_gives() -> None:
    indexes = {"due": ("shard", "due_at")}
    item = {"task_id": {"S": "t" * 10}, "shard": {"S": "a"}}
    due = {**item, "due_at": {"N": "1750000000000"}}

    assert item_size({"ab": {"S": "ü"}, "n": {"N": "-120.50"}, "b": {"B": b"123"}, "t": {"BOOL": True}}) == 15
    assert item_size({"l": {"L": [{"S": "ab"}, {"N": "0"}]}}) == 9
    assert item_size({"m": {"M": {"k": {"S": "v"}}}}) == 7
    assert write_units(None, item, indexes) == 1
    assert write_units(None, due, indexes) == 2
    assert write_units(due, {**due, "status": {"S": "running"}}, indexes) == 1
    assert write_units(due, {**due, "due_at": {"N": "1750000000001"}}, indexes) == 3
    assert write_units(due, item, indexes) == 2
    large = {**item, "payload": {"S": "x" * 1024}}
    assert write_units(large, item, indexes) == write_units(item, large, indexes) == 2
