"""Limits while workers die and requests break: never too many, and no slot is lost."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tasklane.errors import Unavailable
from tasklane.task import Status
from tests.faults.conftest import SEED
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.plans import no_faults, seeded
from tests.faults.processes import start, workers
from tests.faults.recovery import recover_there
from tests.support.waiting import wait_for

AT_ONCE = 3


@pytest.mark.long
@pytest.mark.row("slot-held-by-the-dead")
def test_the_slots_of_killed_workers_come_back(installation: Installation, record: Callable[[Figures], None]) -> None:
    services, world = installation.services(), installation.world
    services.limits.put("gate", max_concurrent=AT_ONCE, rate=None)
    tasks = installation.submit(services, numbers=range(12), hold=1, throttle_keys=("gate",))
    with workers(installation, 2) as running:
        wait_for(lambda: len(world.effects()) == AT_ONCE)
        assert services.limits.get("gate").in_use == AT_ONCE
        for worker in running[:2]:
            worker.kill()
        killed_at = installation.clock.now()
        for task in tasks:
            world.open_gate(task.id)
        running += [start(installation), start(installation)]
        recover_there(installation, services, tasks)

    ended = installation.tasks(tasks)
    assert {task.status for task in ended} == {Status.COMPLETED}
    assert sum(bool(task.attempts) for task in ended) == AT_ONCE, "only those that the dead had begun"
    assert {attempt.error.type for task in ended for attempt in task.attempts} == {"AttemptLost"}
    assert services.limits.get("gate").in_use == 0
    record(figures(installation, tasks, since=killed_at))


@pytest.mark.long
@pytest.mark.row("slots-under-fire")
def test_a_limit_holds_while_a_fifth_of_all_requests_breaks(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services, proxy = installation.services(), installation.proxy
    for key in ("one", "other"):
        services.limits.put(key, max_concurrent=AT_ONCE, rate=None)
    keys = (("one",), ("one", "other"), ("other",))
    tasks = [
        task
        for n in range(60)
        for task in installation.submit(services, numbers=[n], fail=n % 4 == 0, throttle_keys=keys[n % 3])
    ]
    seen, watching = [0], threading.Event()

    def watch() -> None:
        quiet = installation.services()
        while not watching.wait(0.05):
            with suppress(Unavailable):
                seen.append(max(quiet.limits.get(key).in_use for key in ("one", "other")))

    with workers(installation, 2) as running:
        observer = threading.Thread(target=watch)
        proxy.plan = seeded(SEED, 0.2)
        observer.start()
        wait_for(lambda: sum(task.status.final for task in installation.tasks(tasks)) > 10, seconds=60)
        running[0].kill()
        running.append(start(installation))
        recover_there(installation, services, tasks)
        proxy.plan = no_faults
        watching.set()
        observer.join()

    ended = installation.tasks(tasks)
    assert {task.status for task in ended} <= {Status.COMPLETED, Status.FAILED}
    assert max(seen) <= AT_ONCE
    assert {services.limits.get(key).in_use for key in ("one", "other")} == {0}
    record(figures(installation, tasks))
