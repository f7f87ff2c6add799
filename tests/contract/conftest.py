"""One contract suite per port, run on three adapters: in memory, on moto, and on the embedded engine."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import pytest
from moto import mock_aws

from infra.local.target import Target
from tasklane.adapters.control import DynamoDbControlStore
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.memory import (
    ManualClock,
    MemoryBlobStore,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryQueueDepths,
    MemoryQueues,
    MemoryTaskQueue,
    MemoryTaskStore,
)
from tasklane.adapters.s3 import S3BlobStore
from tasklane.adapters.sqs import CALLBACKS, SqsCallbackQueue, SqsMessageSource, SqsQueueDepths, SqsTaskQueue
from tasklane.aws import client_config
from tasklane.clock import SystemClock
from tasklane.ports import (
    BlobStore,
    CallbackQueue,
    Clock,
    ControlStore,
    Delivery,
    MessageSource,
    QueueDepths,
    TaskQueue,
    TaskStore,
)
from tasklane.task import Task
from tests.support.engine import Aws, running_engine
from tests.support.waiting import wait_for

_T = TypeVar("_T")

LANES: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class Queues:
    """The queue ports over one set of queues, and how time passes there."""

    clock: Clock
    lanes: TaskQueue
    callbacks: CallbackQueue
    source: MessageSource
    dead_letters: MessageSource
    depths: QueueDepths
    bury: Callable[[int, str], None]
    """Puts a body into a dead-letter queue."""
    pass_time: Callable[[], None]

    def wait_for(self, condition: Callable[[], _T | None]) -> _T:
        return wait_for(condition, pause=self.pass_time)

    def receive(self, lane: int) -> list[Delivery]:
        """Everything that may be received now, acknowledged."""
        received: list[Delivery] = []
        while batch := self.source.receive(lane, 10, 0):
            received += batch
            self.source.acknowledge(lane, [one.handle for one in batch])
        return received


class Adapter(Protocol):
    """Makes the ports of one technology, each new and empty."""

    def task_store(self) -> TaskStore: ...
    def control_store(self) -> ControlStore: ...
    def both_stores(self) -> tuple[TaskStore, ControlStore]: ...
    def queues(self, visibility_seconds: int = 30) -> Queues: ...
    def blob_store(self) -> BlobStore: ...


class MemoryAdapter:
    def task_store(self) -> TaskStore:
        return MemoryTaskStore()

    def control_store(self) -> ControlStore:
        return MemoryControlStore()

    def both_stores(self) -> tuple[TaskStore, ControlStore]:
        control = MemoryControlStore()
        return MemoryTaskStore(control), control

    def queues(self, visibility_seconds: int = 30) -> Queues:
        clock = ManualClock()
        queues, dead_letters = MemoryQueues(clock, visibility_seconds), MemoryQueues(clock)
        return Queues(
            clock=clock,
            lanes=MemoryTaskQueue(queues, clock),
            callbacks=MemoryCallbackQueue(queues, clock),
            source=queues,
            dead_letters=dead_letters,
            depths=MemoryQueueDepths(queues, dead_letters),
            bury=lambda lane, body: dead_letters.send(lane, body, 0),
            pass_time=lambda: clock.advance(0.5),
        )

    def blob_store(self) -> BlobStore:
        return MemoryBlobStore()


@dataclass(frozen=True, kw_only=True)
class AwsAdapter:
    aws: Aws
    batches: bool

    def task_store(self) -> TaskStore:
        return self.both_stores()[0]

    def control_store(self) -> ControlStore:
        return DynamoDbControlStore(self.aws.dynamodb, self.aws.a_control_table())

    def both_stores(self) -> tuple[TaskStore, ControlStore]:
        table, client = self.aws.a_control_table(), self.aws.dynamodb
        tasks = DynamoDbTaskStore(client, self.aws.a_table(), control_table=table, batches=self.batches)
        return tasks, DynamoDbControlStore(client, table)

    def queues(self, visibility_seconds: int = 30) -> Queues:
        clock = SystemClock()
        urls, dead = ({lane: self.aws.a_queue(visibility_seconds) for lane in (CALLBACKS, *LANES)} for _ in range(2))

        def bury(lane: int, body: str) -> None:
            self.aws.sqs.send_message(QueueUrl=dead[lane], MessageBody=body)

        return Queues(
            clock=clock,
            lanes=SqsTaskQueue(self.aws.sqs, {lane: urls[lane] for lane in LANES}, clock),
            callbacks=SqsCallbackQueue(self.aws.sqs, urls[CALLBACKS], clock),
            source=SqsMessageSource(lambda: self.aws.sqs, urls),
            dead_letters=SqsMessageSource(lambda: self.aws.sqs, dead, hold_seconds=60),
            depths=SqsQueueDepths(self.aws.sqs, urls, dead),
            bury=bury,
            pass_time=lambda: time.sleep(0.05),
        )

    def blob_store(self) -> BlobStore:
        return S3BlobStore(self.aws.client("s3", client_config("s3")), self.aws.a_bucket())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The engine: one a session; what a test makes in it has names of its own."""
    with running_engine(tmp_path_factory.mktemp("engine")) as target:
        yield target


@pytest.fixture(scope="module")
def engine_aws(engine: Target) -> Iterator[Aws]:
    aws = Aws(endpoint=engine.endpoint)
    yield aws
    aws.close()


@pytest.fixture(scope="module")
def moto_aws() -> Iterator[Aws]:
    with mock_aws():
        aws = Aws(endpoint=None)
        yield aws
        aws.close()


@pytest.fixture(params=["moto_aws", pytest.param("engine_aws", marks=pytest.mark.engine)])
def aws(request: pytest.FixtureRequest) -> Aws:
    """For what only AWS has."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["memory", "moto", pytest.param("engine", marks=pytest.mark.engine)])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    match request.param:
        case "moto":
            # moto runs PartiQL without looking at its conditions, so there the store writes one by one.
            return AwsAdapter(aws=request.getfixturevalue("moto_aws"), batches=False)
        case "engine":
            return AwsAdapter(aws=request.getfixturevalue("engine_aws"), batches=True)
        case _:
            return MemoryAdapter()


@pytest.fixture(scope="module")
def store(adapter: Adapter) -> TaskStore:
    """A store that a module's tests share: each looks at tasks of its own."""
    return adapter.task_store()


@pytest.fixture
def empty_store(adapter: Adapter) -> TaskStore:
    """A store that one test has for itself."""
    return adapter.task_store()


@pytest.fixture
def queues(adapter: Adapter) -> Queues:
    return adapter.queues()


@pytest.fixture(scope="module")
def blobs(adapter: Adapter) -> BlobStore:
    return adapter.blob_store()


def stored(store: TaskStore, task: Task) -> Task:
    """The task as the store has it now."""
    return store.get([task.id])[task.id]


def kept(store: TaskStore, *tasks: Task) -> None:
    assert store.put(tasks) == list(tasks)
