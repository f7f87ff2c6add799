"""A thousand tasks of one tenant do not delay another's ten by more than a fair queue does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tasklane.submit import Submission
from tasklane.task import Status
from tests.bench.conftest import LANE, Log, in_memory, in_the_engine
from tests.support.aws_lambda import LambdaContext, sqs_event
from tests.support.waiting import wait_for
from worker.entrypoint import work
from worker.poller import make_poller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tasklane.bootstrap import Services
    from tasklane.task import Task
    from tests.bench.conftest import Start

BATCH = 10
NOISY = 1_000
QUIET = 10


def submit(services: Services, tenant: str, count: int, **payload: Any) -> list[Task]:
    wish = Submission(type="work", priority=LANE, tenant=tenant, payload={"tenant": tenant} | payload)
    with ThreadPoolExecutor(SUBMITTERS if count > QUIET else 1) as pool:
        return [submitted.task for submitted in pool.map(services.submit, [wish] * count)]


@contextmanager
def poller(services: Services, runners: int) -> Iterator[None]:
    running = make_poller(services, runners=runners, wait_seconds=1)
    running.start()
    try:
        yield
    finally:
        running.stop()
        services.execute.close()


@contextmanager
def lambdas(services: Services, concurrency: int) -> Iterator[None]:
    """The worker's entry point behind an event source mapping: so many invocations, each of a batch, side by side."""
    stopping = threading.Event()

    def poll() -> None:
        while not stopping.is_set():
            batch = services.source.receive(LANE, BATCH, 1)
            answer = work(sqs_event([one.body for one in batch]), LambdaContext(), services) if batch else {}
            failed = {failure["itemIdentifier"] for failure in answer.get("batchItemFailures", ())}
            assert not failed
            services.source.acknowledge(LANE, [one.handle for one in batch])

    threads = [threading.Thread(target=poll) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        services.execute.close()


PATIENCE = 120.0
RUNNERS = 4
ROUNDS = 3
"""One batch of each runner may begin meanwhile; a busy machine lets some begin a second one."""
SUBMITTERS = 4
WORK_SECONDS = 0.05
WORKERS = pytest.mark.parametrize("worker", [poller, lambdas])


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.gate.set()


@pytest.fixture(autouse=True)
def metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tasklane")


@WORKERS
@pytest.mark.parametrize("idle_before", [True, False])
def test_the_next_batch_is_the_quiet_tenants(worker: Any, log: Log, *, idle_before: bool) -> None:
    services = in_memory(log)
    if not idle_before:
        submit(services, "noisy", NOISY, hold=True)
    with worker(services, 1):
        if idle_before:
            submit(services, "noisy", NOISY, hold=True)
        wait_for(lambda: log.started("noisy"))
        submit(services, "quiet", QUIET)

        log.gate.set()
        wait_for(lambda: len(log.started("quiet")) == QUIET)

        before = [start.tenant for start in log.starts[: log.starts.index(log.started("quiet")[-1])]]
        assert before.count("noisy") <= BATCH, "those that ran already"


@WORKERS
def test_a_task_does_not_wait_for_the_slow_ones_of_its_batch(worker: Any, log: Log) -> None:
    services = in_memory(log)
    submit(services, "noisy", BATCH - 1, hold=True)
    (quick,) = submit(services, "quiet", 1)

    with worker(services, 1):
        wait_for(lambda: services.store.get([quick.id])[quick.id].status is Status.COMPLETED)

        assert len(log.started("noisy")) == BATCH - 1
        assert not log.ended("noisy")
        log.gate.set()


@dataclass(frozen=True, kw_only=True)
class Waits:
    """What the quiet tenants saw of a noisy one."""

    seconds: list[float]
    """From the submission of each of their tasks to its start."""
    overtaken: list[int]
    """How many tasks of the noisy one began between a quiet one's submission and the start of its last task."""
    batch_seconds: float
    """How long a batch took on average."""

    def __str__(self) -> str:
        waits = sorted(self.seconds)
        return (
            f"waited p50 {waits[len(waits) // 2]:.3f} s, longest {waits[-1]:.3f} s; "
            f"a batch takes {self.batch_seconds:.3f} s; "
            f"{max(self.overtaken)} of {NOISY} began before the last of {QUIET}"
        )


def waits(services: Services, log: Log, worker: Any, runners: int, tenants: int) -> Waits:
    """Submit a thousand tasks of one tenant and, while they run, ten each of others."""
    seconds, overtaken = [], []
    submit(services, "noisy", NOISY, seconds=WORK_SECONDS)
    with worker(services, runners):
        begun = time.monotonic()
        for tenant in (f"quiet-{number}" for number in range(tenants)):
            at = len(log.ended("noisy")) + NOISY // (tenants + 5)
            wait_for(partial(has, log.ended, "noisy", at), seconds=PATIENCE)
            sent = [(submit(services, tenant, 1), time.monotonic())[1] for _ in range(QUIET)]
            wait_for(partial(has, log.started, tenant, QUIET), seconds=PATIENCE)
            starts = log.started(tenant)
            seconds += [start.at - at for start, at in zip(starts, sent, strict=True)]
            overtaken.append(sum(sent[-1] < start.at < starts[-1].at for start in log.started("noisy")))
        wait_for(partial(has, log.ended, "noisy", NOISY), seconds=PATIENCE)
        batches = (NOISY + tenants * QUIET) / BATCH
        return Waits(seconds=seconds, overtaken=overtaken, batch_seconds=(time.monotonic() - begun) * runners / batches)


def has(of: Callable[[str], list[Start]], tenant: str, count: int) -> bool:
    return len(of(tenant)) >= count


@pytest.fixture(autouse=True)
def _no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's process runs one batch at a time, and its metrics are not made for the several of these tests."""
    monkeypatch.setattr("worker.entrypoint.emit", lambda _metrics: None)


@pytest.mark.long
@pytest.mark.slow
@WORKERS
def test_a_backlog_delays_others_by_no_more_than_the_batches_that_run(worker: Any, log: Log) -> None:
    fair = waits(in_memory(log), log, worker, RUNNERS, tenants=5)
    log = Log()
    plain = waits(in_memory(log, fair=False), log, worker, RUNNERS, tenants=1)

    print(f"\n{worker.__name__}, fair queue: {fair}\n{worker.__name__}, plain queue: {plain}")
    assert max(fair.overtaken) <= ROUNDS * RUNNERS * BATCH
    assert max(plain.overtaken) > 10 * RUNNERS * BATCH, "the measure sees a queue that is not fair"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.engine
def test_it_is_so_over_the_engines_table_and_lanes_too(log: Log, tmp_path: Path) -> None:
    with in_the_engine(log, tmp_path) as services:
        fair = waits(services, log, poller, RUNNERS, tenants=5)

    print(f"\npoller, engine, fair queue: {fair}")
    assert max(fair.overtaken) <= ROUNDS * RUNNERS * BATCH
