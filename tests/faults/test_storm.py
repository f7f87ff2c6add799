"""Everything at once: every promise about kept tasks, at a fault rate of a fifth, with a fixed seed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tasklane.bootstrap import Services
from tasklane.errors import Unavailable
from tasklane.submit import Submission
from tasklane.task import CallbackState, Status, Task
from tests.faults.conftest import SEED
from tests.faults.figures import Figures
from tests.faults.history import backward_steps, figures, outcomes
from tests.faults.installation import Installation
from tests.faults.plans import no_faults, seeded
from tests.faults.processes import Process, start, workers
from tests.faults.receiver import receiving
from tests.faults.recovery import has_ended
from tests.support.waiting import wait_for

TASKS = 1000
FAULT_RATE = 0.2
SECONDS = 600.0
"""Far longer than it takes; only a test that fails runs so long."""
STILL_SECONDS = 1.0
LOOK_SECONDS = 0.25
"""How often it is looked at: that takes a while, with so many tasks."""
CLIENTS = 16


def submissions(count: int, callback_url: str) -> list[Submission]:
    """Plain and async, fast and failing first, small and large, with an idempotency key, as a careful client sends."""
    dice = random.Random(SEED)
    return [
        Submission(
            type=dice.choice(("work", "async-work")),
            payload={"number": n, "fail": dice.choice((0, 0, 0, 1)), "pad": "x" * dice.choice((0, 0, 0, 6000))},
            priority=dice.randint(1, 5),
            delay_seconds=dice.choice((None, None, None, 1, 1200)),
            max_attempts=50,
            callback_url=callback_url,
            idempotency_key=f"storm-{n}",
        )
        for n in range(count)
    ]


def accepted(services: Services, submission: Submission) -> Task:
    """What a client does: the same request again until it is accepted."""
    while True:
        try:
            return services.submit(submission).task
        except Unavailable:
            continue


@contextmanager
def sweeping(installation: Installation) -> Iterator[None]:
    """A sweeper that never rests, and a clock that goes ahead whenever nothing moves."""
    services, ended = installation.services(), threading.Event()

    def sweep() -> None:
        while not ended.wait(0.2):
            services.sweep(lambda: 60.0)

    def pass_time() -> None:
        last, since = 0, time.monotonic()
        while not ended.wait(LOOK_SECONDS):
            tasks = [states[-1] for states in installation.journal.values()]
            done = sum((task.run + 1) * (has_ended(task) + 1) for task in tasks)
            if done != last:
                last, since = done, time.monotonic()
            elif time.monotonic() - since > STILL_SECONDS:
                installation.clock.advance_to(max((task.due_at or 0 for task in tasks), default=0) + 1)
                since = time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(sweep), pool.submit(pass_time)]
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.result()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("storm")
def test_every_promise_holds_while_a_fifth_of_all_requests_is_broken(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_installation(TASKLANE_RECOVERY_SECONDS="10")
    dice = random.Random(SEED)
    answers = {(f"{n}", before): 500 for n in range(TASKS) for before in range(9) if dice.random() < FAULT_RATE}
    proxy, services = installation.proxy, installation.services()
    numbers: dict[str, int] = {}
    with (
        receiving(lambda task_id, before: answers.get((f"{numbers.get(task_id)}", before), 204)) as receiver,
        workers(installation, 2) as running,
    ):
        proxy.begin(seeded(SEED, FAULT_RATE))
        with sweeping(installation), ThreadPoolExecutor(CLIENTS) as clients:
            tasks = list(clients.map(lambda one: accepted(services, one), submissions(TASKS, receiver.url)))
            numbers |= {task.id: n for n, task in enumerate(tasks)}
            wait_for(lambda: completed(installation) > TASKS // 4, pause=pause, seconds=SECONDS)
            kill_and_replace(installation, running)
            wait_for(lambda: all_ended(installation), pause=pause, seconds=SECONDS)
        faults, requests = proxy.faults.total(), proxy.requests.total()
        proxy.begin(no_faults)

    now = installation.tasks(tasks)
    assert len({task.id for task in tasks}) == TASKS
    assert {task.status for task in now} == {Status.COMPLETED}
    assert [task.result is not None for task in now] == [True] * TASKS
    assert_delivered_or_listed(now, receiver.answered)
    assert not backward_steps(installation.journal)
    assert set(outcomes(installation.journal).values()) == {1}
    assert faults > requests * FAULT_RATE / 2
    record(figures(installation, tasks))


def pause() -> None:
    time.sleep(LOOK_SECONDS)


def completed(installation: Installation) -> int:
    return sum(states[-1].status is Status.COMPLETED for states in installation.journal.values())


def all_ended(installation: Installation) -> bool:
    return all(has_ended(states[-1]) for states in installation.journal.values())


def kill_and_replace(installation: Installation, running: list[Process]) -> None:
    running[0].kill()
    running.append(start(installation))


def assert_delivered_or_listed(tasks: Sequence[Task], answered: dict[str, list[int]]) -> None:
    states = Counter(task.callback.state for task in tasks if task.callback)
    assert states.keys() <= {CallbackState.DELIVERED, CallbackState.UNDELIVERED}
    for task in tasks:
        assert task.callback is not None
        assert (task.callback.state is CallbackState.DELIVERED) == (204 in answered[task.id])
