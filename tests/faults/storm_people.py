"""Who is about in the storm: clients that submit and change their minds, operators, external workers, receivers."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, TypeVar

from tasklane.bootstrap import Services
from tasklane.errors import LeaseLost, NotNow, Unavailable
from tasklane.lease import Holder
from tasklane.task import Status, Task
from tests.faults.installation import Installation
from tests.faults.receiver import NEVER
from tests.faults.storm_tasks import LATE_MS, Kind, Wish

_T = TypeVar("_T")

HELD_BACK_TRIES: Final = 2
LOOK_SECONDS: Final = 0.25
"""How often somebody looks at all tasks: that takes a while, with so many of them."""
LEASE_SECONDS: Final = 5
OUTSIDE_WORKERS: Final = 3


def insisted(call: Callable[[], _T]) -> _T:
    """What a careful client does: the same request again until it is answered."""
    while True:
        try:
            return call()
        except Unavailable:
            continue


def accepted(services: Services, wish: Wish) -> Task:
    """Submit it, and change one's mind where that is its kind."""
    submission = wish.submission
    if wish.kind is Kind.LATE:
        submission = replace(submission, expires_at=services.clock.now() + LATE_MS)
    task = insisted(lambda: services.submit(submission)).task
    with suppress(NotNow):  # the request that was not answered had done it
        if wish.kind is Kind.CALLED_OFF:
            insisted(lambda: services.manage.cancel(task.id))
        if wish.kind is Kind.BROUGHT_FORWARD:
            insisted(lambda: services.manage.reschedule(task.id, run_at=task.created_at, priority=5))
    return task


def answer(seed: int, wish: Wish | None, before: int, rate: float) -> int:
    """What a receiver answers to a task's callback that it has been sent so often before."""
    if wish is None or (status := wish.must_call_back) is None:
        dice = random.Random(f"{seed} {wish and wish.number} {before}")
        if wish and wish.number % 50 == 13 and before < HELD_BACK_TRIES:
            return NEVER
        return 500 if before < 9 and dice.random() < rate else 204
    return status


@contextmanager
def meddling(installation: Installation, kinds: Mapping[str, Kind]) -> Iterator[None]:
    """Somebody who interrupts what runs and retries what failed, as their ``kinds`` (by the task's id) say."""
    services, ended = installation.services(), threading.Event()
    services.manage  # noqa: B018 - made before threads ask for it

    def meddle(task: Task) -> None:
        with suppress(NotNow, Unavailable):
            if kinds.get(task.id) is Kind.INTERRUPTED:
                services.manage.cancel(task.id)
            else:
                services.manage.retry(task.id)

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            now = [states[-1] for states in installation.journal.values()]
            list(pool.map(meddle, [task for task in now if _wants(task, kinds.get(task.id))]))

    with ThreadPoolExecutor(8) as pool, _running(look, ended):
        yield


def _wants(task: Task, kind: Kind | None) -> bool:
    if kind is Kind.INTERRUPTED:
        return task.status is Status.RUNNING and not task.cancel_requested
    return kind is Kind.RETRIED and task.status is Status.FAILED


@contextmanager
def working_outside(installation: Installation, seed: int) -> Iterator[None]:
    """External workers, which are never heard of again after a fifth of the first attempts, and are late in others."""
    services, ended = installation.services(), threading.Event()
    _ = services.fetch, services.leases

    def work() -> None:
        while not ended.wait(0.2):
            with suppress(Unavailable):
                for task in services.fetch((), 5, LEASE_SECONDS):
                    complete(task)

    def complete(task: Task) -> None:
        fate = random.Random(f"{seed}{task.id}{task.attempt}").random()
        if task.attempt < 4 and fate < 0.2:
            return
        if task.attempt < 4 and fate < 0.3:
            time.sleep(LEASE_SECONDS * 1.2)
        holder = Holder.of(task)
        while not ended.is_set():
            with suppress(Unavailable):
                with suppress(LeaseLost):
                    services.leases.complete(task.id, holder, {"token": holder.token})
                return

    with _running(work, ended, OUTSIDE_WORKERS):
        yield


@contextmanager
def watching(installation: Installation, keys: Sequence[str], seen: dict[str, int]) -> Iterator[None]:
    """Notes in ``seen`` the most that ever counted towards each of these limits."""
    services, ended = installation.services(), threading.Event()
    _ = services.limits

    def look() -> None:
        while not ended.wait(0.1):
            with suppress(Unavailable):
                seen.update({key: max(seen.get(key, 0), services.limits.get(key).in_use) for key in keys})

    with _running(look, ended):
        yield


@contextmanager
def _running(act: Callable[[], None], ended: threading.Event, threads: int = 1) -> Iterator[None]:
    with ThreadPoolExecutor(threads) as pool:
        running: list[Future[None]] = [pool.submit(act) for _ in range(threads)]
        try:
            yield
        finally:
            ended.set()
            for one in running:
                one.result()
