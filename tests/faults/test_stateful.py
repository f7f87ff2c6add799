"""Random operations, random faults, clocks that differ and jump: whatever comes, the promises hold against a model."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tasklane.adapters.control import DynamoDbControlStore
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.items import shard_of
from tasklane.adapters.memory import MemoryBlobStore, MemoryControlStore
from tasklane.adapters.s3 import S3BlobStore
from tasklane.errors import Unavailable
from tasklane.task import Task
from tests.faults import engine_process
from tests.faults.clock import STILL_VARIABLE, StillClock
from tests.faults.lagging import LaggingTaskStore
from tests.faults.stateful_machine import Tasklane
from tests.faults.stateful_queues import EngineQueues
from tests.faults.stateful_world import World
from tests.support.builders import NOW
from tests.support.engine import Aws, running_engine


class ShardsInUse(DynamoDbTaskStore):
    """Leaves out the shards without a task: each is a query in every sweep that finds nothing."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.shards = []

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        self.shards = sorted({*self.shards, *(shard_of(task.id) for task in tasks)})
        return super().put(tasks)


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No waiting between two tries to save, no log, and ids that are the same whenever an example is repeated."""
    monkeypatch.setattr("tasklane.save.PAUSES", (0, 0, 0))
    for module in ("ending", "outcome"):
        monkeypatch.setattr(f"tasklane.{module}.pauses_while", lambda _remaining: iter((0, 0, 0)))
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def drive(make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch, *, examples: int, steps: int) -> None:
    class Machine(Tasklane):
        def __init__(self) -> None:
            world = make_world()
            monkeypatch.setattr("tasklane.ids.os", SimpleNamespace(urandom=random.Random(0).randbytes))
            slow = SimpleNamespace(monotonic=world.monotonic, sleep=world.pass_time)
            for module in ("chain", "standing", "release"):
                monkeypatch.setattr(f"tasklane.{module}.time", slow)
            super().__init__(world)

    chosen = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=chosen)


def in_memory() -> World:
    control = MemoryControlStore()
    return World(LaggingTaskStore(control), control, MemoryBlobStore())


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Aws, StillClock]]:
    """Clients of an engine whose queues go by a clock that stands still until a world sets it."""
    clock = StillClock(path=tmp_path_factory.mktemp("still") / "clock")
    clock.set(NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.local.engine.MODULE", engine_process.__name__)
        patch.setenv(STILL_VARIABLE, str(clock.path))
        with running_engine(tmp_path_factory.mktemp("engine")) as target:
            aws = Aws(endpoint=target.endpoint)
            yield aws, clock
            aws.close()


def on_the_engine(aws: Aws, clock: StillClock) -> Callable[[], World]:
    blobs = S3BlobStore(aws.s3, aws.a_bucket())

    def world() -> World:
        tasks, control = aws.a_table(), aws.a_control_table()
        store = ShardsInUse(aws.dynamodb, tasks, control_table=control)
        clock.set(NOW)
        return World(
            store, DynamoDbControlStore(aws.dynamodb, control), blobs, lambda now: EngineQueues(now, clock, aws)
        )

    return world


@pytest.mark.slow
def test_the_promises_hold_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    drive(in_memory, monkeypatch, examples=25, steps=40)


@pytest.mark.long
def test_the_promises_hold_in_memory_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    drive(in_memory, monkeypatch, examples=200, steps=50)


@pytest.mark.long
@pytest.mark.engine
def test_the_promises_hold_on_the_engine(still: tuple[Aws, StillClock], monkeypatch: pytest.MonkeyPatch) -> None:
    drive(on_the_engine(*still), monkeypatch, examples=10, steps=30)
