"""What it costs on AWS to look for work where there is none, and to take some."""

from collections import Counter
from typing import Any

import boto3
import pytest

from infra.local.target import ACCOUNT_KEY, REGION
from tasklane.adapters.sqs import CALLBACKS
from tasklane.bootstrap import Services
from tasklane.lease import Holder
from tasklane.registry import Registry
from tasklane.settings import Settings
from tasklane.submit import Submission
from tests.contract.conftest import LANES
from tests.support.engine import Aws

pytestmark = pytest.mark.engine

HALF_A_UNIT = 4096
"""Bytes that an eventually consistent query reads for half a read unit
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html)."""


class Watched:
    """Counts requests to DynamoDB, and how much each query has read."""

    def __init__(self, session: boto3.Session) -> None:
        self.requests: Counter[str] = Counter()
        self.read: list[int] = []
        session.events.register("before-send.dynamodb.*", self._count)
        session.events.register("after-call.dynamodb.Query", self._size)

    def _count(self, event_name: str, **_: Any) -> None:
        self.requests[event_name.rpartition(".")[2]] += 1

    def _size(self, parsed: Any, **_: Any) -> None:
        self.read.append(sum(len(n) + len(str(v)) for item in parsed["Items"] for n, v in item.items()))


@pytest.fixture
def watched(engine_aws: Aws, monkeypatch: pytest.MonkeyPatch) -> tuple[Services, Watched]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(engine_aws.endpoint))
    session = boto3.Session(ACCOUNT_KEY, ACCOUNT_KEY, region_name=REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    urls = {lane: engine_aws.a_queue() for lane in (CALLBACKS, *LANES)}
    settings = Settings(
        tasks_table=engine_aws.a_table(),
        control_table=engine_aws.a_control_table(),
        bucket=engine_aws.a_bucket(),
        lane_urls={lane: urls[lane] for lane in LANES},
        callback_queue_url=urls[CALLBACKS],
    )
    watched = Watched(session)
    return Services(settings, registry=Registry()), watched


@pytest.mark.parametrize("types", [(), ("resize",), tuple(f"type-{number}" for number in range(10))])
def test_to_find_nothing_costs_one_query_of_half_a_read_unit(
    watched: tuple[Services, Watched], types: tuple[str, ...]
) -> None:
    services, seen = watched
    for _ in range(10):
        assert services.fetch(types, 10) == []

    assert seen.requests == {"Query": 10}
    assert set(seen.read) == {0}, "an empty answer is half a unit"


def test_to_look_where_much_is_costs_one_query_of_half_a_read_unit(watched: tuple[Services, Watched]) -> None:
    services, seen = watched
    for number in range(60):
        services.submit(Submission(type="x" * 128, payload=[number], external=True))
    seen.requests.clear()

    assert services.fetch(("resize", "crop"), 1) == []
    assert seen.requests == {"Query": 3}, "whether anybody waits at all, and then for each type"
    seen.requests.clear()
    (task,) = services.fetch((), 1)

    assert seen.requests == {"Query": 2, "GetItem": 1, "UpdateItem": 1}, "one of the queries asks what is paused"
    assert max(seen.read) <= HALF_A_UNIT
    seen.requests.clear()
    services.leases.complete(task.id, Holder.of(task), {"done": True})
    assert seen.requests == {"GetItem": 1, "UpdateItem": 1}
