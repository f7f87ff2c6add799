"""Indexes that lag: what DynamoDB says of its own, and the engine never shows."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tasklane.adapters.memory import (
    MemoryBlobStore,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryHttp,
    MemoryQueues,
    MemoryTaskQueue,
)
from tasklane.bootstrap import Services
from tasklane.clock import SystemClock
from tasklane.registry import Registry
from tasklane.submit import Submission
from tasklane.task import Status
from tests.faults.figures import Figures
from tests.faults.lagging import LaggingTaskStore
from tests.support.installation import SETTINGS
from tests.support.payloads import Anything
from tests.support.waiting import wait_for
from worker.poller import make_poller

AT_ONCE = 4
TASKS = 60
PROCESSES = 3
LAG_SECONDS = 1.0


class Crowd:
    """Who runs, and how often each has."""

    def __init__(self) -> None:
        self.ran: Counter[int] = Counter()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def task_types(self) -> Registry:
        registry = Registry()

        @registry.task("work")
        def work(payload: Anything) -> None:
            self._step(1)
            time.sleep(0.05)
            self._step(-1)
            self.ran[(payload.model_extra or {})["n"]] += 1

        return registry

    def _step(self, by: int) -> None:
        with self._lock:
            self._now += by
            self.most = max(self.most, self._now)


@contextmanager
def processes(crowd: Crowd) -> Iterator[Services]:
    """Workers that share nothing but table and queues; the services are those of somebody else."""
    clock, control = SystemClock(), MemoryControlStore()
    store, queues, blobs = LaggingTaskStore(control), MemoryQueues(clock), MemoryBlobStore()
    store.lag_seconds = LAG_SECONDS

    def services() -> Services:
        return Services(
            SETTINGS,
            registry=crowd.task_types(),
            clock=clock,
            store=store,
            queue=MemoryTaskQueue(queues, clock),
            callback_queue=MemoryCallbackQueue(queues, clock),
            source=queues,
            control=control,
            blobs=blobs,
            http=MemoryHttp(),
        )

    workers = [services() for _ in range(PROCESSES)]
    pollers = [make_poller(one, runners=2, wait_seconds=1) for one in workers]
    for poller in pollers:
        poller.start()
    try:
        yield services()
    finally:
        for poller in pollers:
            poller.stop()
        for one in workers:
            one.execute.close()


def sweep(services: Services) -> None:
    time.sleep(LAG_SECONDS)
    services.sweep(lambda: 60.0)


@pytest.mark.row("indexes-lag")
def test_freed_slots_find_who_waits(record: Callable[[Figures], None]) -> None:
    crowd = Crowd()
    with processes(crowd) as services:
        services.limits.put("gate", max_concurrent=AT_ONCE, rate=None)
        wishes = [Submission(type="work", payload={"n": n}, throttle_keys=("gate",)) for n in range(TASKS)]
        ids = [services.submit(wish).task.id for wish in wishes]
        wait_for(lambda: len(crowd.ran) == TASKS, "all of them have run", seconds=60, pause=lambda: sweep(services))
        wait_for(lambda: services.limits.get("gate").in_use == 0, "all slots are given back")

        tasks = services.store.get(ids).values()
    assert crowd.most == AT_ONCE
    lost = sum(task.status is not Status.COMPLETED for task in tasks)
    record(Figures(tried=TASKS, lost=lost, doubled=sum(count > 1 for count in crowd.ran.values())))
