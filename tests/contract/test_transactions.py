"""Transactions that meet others on the same limit: tried again for a moment, and then said to be contended."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from botocore.config import Config
from botocore.stub import Stubber
from mypy_boto3_dynamodb import DynamoDBClient

from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.limits import CONFLICTS
from tasklane.errors import Contended, Unavailable
from tasklane.ports import Blocked
from tasklane.task import Status, Task
from tests.support.builders import NOW, a_change, a_claim, a_task
from tests.support.engine import Aws

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    aws = Aws(endpoint=None)
    yield aws.client("dynamodb", ONCE)
    aws.close()


@pytest.fixture
def stub(client: DynamoDBClient) -> Iterator[Stubber]:
    """The answers of the table, all of which must be asked for."""
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def store(client: DynamoDBClient, stub: Stubber) -> DynamoDbTaskStore:
    return DynamoDbTaskStore(client, "tasks", control_table="control")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("tasklane.adapters.limits.time.sleep", pauses.append)
    return pauses


def cancelled(stub: Stubber, *codes: str) -> None:
    """The table's answer: no, and why for each item."""
    reasons = [{"Code": code} for code in codes]
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        http_status_code=400,
        modeled_fields={"CancellationReasons": reasons},
    )


def test_a_conflict_is_over_in_a_moment(stub: Stubber, store: DynamoDbTaskStore, pauses: list[float]) -> None:
    task = a_task()
    cancelled(stub, "None", "TransactionConflict")
    cancelled(stub, "TransactionConflict", "None")
    stub.add_response("transact_write_items", {})

    (answer,) = store.claim([replace(a_claim(task, takes=("a",)), known=task)])

    assert isinstance(answer, Task)
    assert (answer.status, answer.slots) == (Status.RUNNING, ("a",))
    assert len(pauses) == 2


def test_one_conflict_after_the_other_is_contention(
    stub: Stubber, store: DynamoDbTaskStore, pauses: list[float]
) -> None:
    for _ in range(CONFLICTS):
        cancelled(stub, "None", "TransactionConflict")

    (answer,) = store.claim([a_claim(a_task(), takes=("a",))])

    assert isinstance(answer, Contended)
    assert 0 < sum(pauses) < 1, "a worker has others to look after"


def test_an_end_that_meets_others_is_not_written_yet(stub: Stubber, store: DynamoDbTaskStore) -> None:
    for _ in range(CONFLICTS):
        cancelled(stub, "None", "TransactionConflict")

    ended = a_change(a_task(status=Status.RUNNING, slots=("a",)), status=Status.COMPLETED, slots=(), finished_at=NOW)
    (answer,) = store.save([ended])

    assert isinstance(answer, Unavailable)


def test_no_room_counts_for_more_than_a_conflict(stub: Stubber, store: DynamoDbTaskStore) -> None:
    cancelled(stub, "None", "TransactionConflict", "ConditionalCheckFailed")

    (answer,) = store.claim([a_claim(a_task(), takes=("a", "b"))])

    assert answer == Blocked(key="b")


def test_a_table_that_throttles_is_asked_no_more(stub: Stubber, store: DynamoDbTaskStore, pauses: list[float]) -> None:
    cancelled(stub, "None", "ThrottlingError")

    (answer,) = store.claim([a_claim(a_task(), takes=("a",))])

    assert isinstance(answer, Unavailable)
    assert not isinstance(answer, Contended)
    assert pauses == []
