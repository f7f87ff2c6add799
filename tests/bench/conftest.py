"""Installations that take real time, and what their handlers did when."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tasklane.adapters.control import DynamoDbControlStore
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.memory import (
    MemoryBlobStore,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryHttp,
    MemoryQueues,
    MemoryTaskQueue,
    MemoryTaskStore,
)
from tasklane.adapters.sqs import CALLBACKS, SqsCallbackQueue, SqsMessageSource, SqsTaskQueue
from tasklane.bootstrap import Services
from tasklane.clock import SystemClock
from tasklane.registry import Registry
from tests.bench.sources import FairSource, PlainSource
from tests.support.engine import Aws, running_engine
from tests.support.installation import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANE = 3
GATE_SECONDS = 60.0


class Work(BaseModel):
    """``seconds`` of work for a tenant; ``hold``: not before the gate is open."""

    tenant: str
    seconds: float = 0.0
    hold: bool = False


@dataclass(frozen=True, kw_only=True)
class Start:
    """A handler began."""

    tenant: str
    at: float


@dataclass(kw_only=True)
class Log:
    """What handlers did, in order; times are monotonic seconds."""

    starts: list[Start] = field(default_factory=list)
    ends: list[Start] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def started(self, tenant: str) -> list[Start]:
        return [one for one in self.starts if one.tenant == tenant]

    def ended(self, tenant: str) -> list[Start]:
        return [one for one in self.ends if one.tenant == tenant]

    def task_types(self) -> Registry:
        registry = Registry()

        @registry.task("work")
        def work(payload: Work) -> None:
            self.starts.append(Start(tenant=payload.tenant, at=time.monotonic()))
            if payload.hold:
                assert self.gate.wait(GATE_SECONDS)
            time.sleep(payload.seconds)
            self.ends.append(Start(tenant=payload.tenant, at=time.monotonic()))

        return registry


def in_memory(log: Log, *, fair: bool = True) -> Services:
    clock = SystemClock()
    queues = MemoryQueues(clock)
    return Services(
        SETTINGS,
        registry=log.task_types(),
        clock=clock,
        store=MemoryTaskStore(),
        queue=MemoryTaskQueue(queues, clock),
        callback_queue=MemoryCallbackQueue(queues, clock),
        source=FairSource(queues) if fair else PlainSource(queues),
        control=MemoryControlStore(),
        blobs=MemoryBlobStore(),
        http=MemoryHttp(),
    )


@contextmanager
def in_the_engine(log: Log, folder: Path) -> Iterator[Services]:
    """Table and lanes are the engine's, whose queues know no tenants."""
    with running_engine(folder) as target:
        aws, clock = Aws(endpoint=target.endpoint), SystemClock()
        urls = {lane: aws.a_queue() for lane in (CALLBACKS, 1, 2, 3, 4, 5)}
        source: Any = SqsMessageSource(lambda: aws.sqs, urls)
        try:
            yield Services(
                SETTINGS,
                registry=log.task_types(),
                clock=clock,
                store=DynamoDbTaskStore(aws.dynamodb, aws.a_table()),
                queue=SqsTaskQueue(aws.sqs, urls, clock),
                callback_queue=SqsCallbackQueue(aws.sqs, urls[CALLBACKS], clock),
                source=FairSource(source),
                control=DynamoDbControlStore(aws.dynamodb, aws.a_control_table()),
                blobs=MemoryBlobStore(),
                http=MemoryHttp(),
            )
        finally:
            aws.close()
