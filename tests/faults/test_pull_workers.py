"""Twenty external workers at one queue, a third of whose attempts never end, while requests are broken."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tasklane.bootstrap import Services
from tasklane.errors import LeaseLost, Unavailable
from tasklane.lease import Holder
from tasklane.task import Status, Task
from tests.faults.conftest import SEED
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.plans import no_faults, seeded
from tests.faults.recovery import drain, has_ended
from tests.support.waiting import wait_for

WORKERS = 20
TASKS = 100
FAULT_RATE = 0.1
LEASE_SECONDS = 2
SECONDS = 120.0


class Crowd:
    """Workers that fetch until told to stop, and what they did."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.runs: Counter[tuple[str, int]] = Counter()
        self.late = 0

    def work(self, services: Services) -> None:
        while not self.over.is_set():
            try:
                tasks = services.fetch((), 1, LEASE_SECONDS)
            except Unavailable:
                continue
            for task in tasks:
                self.runs[task.id, task.run] += 1
                self._do(services, task)
            if not tasks:
                time.sleep(0.1)

    def _do(self, services: Services, task: Task) -> None:
        fate = random.Random(f"{SEED}{task.id}{task.run}").random()
        if task.attempt < 4 and fate < 0.2:
            return  # killed: nobody hears of it again
        if task.attempt < 4 and fate < 0.35:
            time.sleep(LEASE_SECONDS * 1.5)  # not in time
        holder = Holder.of(task)
        while not self.over.is_set():
            try:
                services.leases.complete(task.id, holder, {"token": holder.token})
            except Unavailable:
                continue
            except LeaseLost:
                self.late += 1
            return


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("pull-workers")
def test_twenty_external_workers_lose_and_double_nothing(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    outside = installation.services()
    tasks = installation.submit(outside, numbers=range(TASKS), type="outside", external=True)
    apis, inside, crowd = [installation.services() for _ in range(4)], installation.services(), Crowd()
    for one in apis:
        _ = one.fetch, one.leases  # made before threads ask for them
    since = installation.clock.now()
    installation.proxy.begin(seeded(SEED, FAULT_RATE))
    with ThreadPoolExecutor(WORKERS) as pool:
        ends = [pool.submit(crowd.work, apis[number % len(apis)]) for number in range(WORKERS)]
        try:
            wait_for(partial(_all_done, installation, inside, tasks), seconds=SECONDS)
        finally:
            crowd.over.set()
        for end in ends:
            end.result()
    installation.proxy.begin(no_faults)

    ended = installation.tasks(tasks)
    assert {task.status for task in ended} == {Status.COMPLETED}
    assert set(crowd.runs.values()) == {1}, "no lease was given to two workers"
    assert sum(task.attempt > 1 for task in ended) > TASKS / 10, "enough of them were lost on the way"
    results = [inside.read.text(task.result) for task in ended if task.result is not None]
    assert results == [f'{{"token":"{task.ended_by}"}}' for task in ended]
    record(figures(installation, tasks, since=since))


def _all_done(installation: Installation, inside: Services, tasks: list[Task]) -> bool:
    """A worker looks after the leases' ends; what is not told by a message falls due, and is swept."""
    now = installation.tasks(tasks)
    if all(map(has_ended, now)):
        return True
    try:
        drain(inside, lanes=(3,))
        inside.sweep(lambda: 60.0)
    except Unavailable:
        pass
    return False
