"""Messages that are refused, lost, doubled, or were never Tasklane's."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tasklane.message import TaskMessage
from tasklane.task import Status, Task
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import DeafQueue, Installation
from tests.faults.plans import Fault, always, no_faults
from tests.faults.processes import processes, workers
from tests.faults.recovery import drain, recover_here, sweep_when_due
from tests.support.waiting import wait_for


@pytest.mark.row("send-refused")
def test_tasks_that_no_lane_takes_are_accepted_and_sent_later(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    installation.proxy.begin(always(Fault.REFUSE, "SendMessage"))
    with processes(installation, "serve"), httpx.Client(base_url=installation.api, trust_env=False) as client:
        posts = [{"type": "work", "payload": {"number": n}} for n in range(10)]
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda body: client.post("/v1/tasks", json=body, timeout=30), posts))
    refused_at = installation.clock.now()
    assert [answer.status_code for answer in answers] == [202] * 10
    assert installation.depth(installation.lane()) == 0

    installation.proxy.begin(no_faults)
    tasks = list(services.store.get([answer.json()["id"] for answer in answers]).values())
    ended = recover_here(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    record(figures(installation, tasks, since=refused_at))


@pytest.mark.row("send-partly")
def test_a_batch_of_sends_that_is_refused_in_part_is_sent_again(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    tasks = installation.accept_unsent(services, 20)
    installation.proxy.begin(always(Fault.PARTIAL, "SendMessageBatch"))
    for _ in range(3):
        sweep_when_due(installation, services, tasks)
    assert 0 < installation.depth(installation.lane()) < 3 * len(tasks)
    refused_at = installation.clock.now()

    installation.proxy.begin(no_faults)
    ended = recover_here(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    assert len(installation.world.effects()) == len(tasks)
    record(figures(installation, tasks, since=refused_at))


@pytest.mark.row("send-answer-lost")
def test_requests_that_are_repeated_because_their_answer_got_lost_do_nothing_twice(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    installation.proxy.begin(drop_every_third)
    single = installation.submit(services, idempotency_key="one")
    drain(services)
    tasks = [*single, *installation.accept_unsent(services, 10)]
    ended = recover_here(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    assert {task.run for task in ended} == {1}
    assert len(installation.world.effects()) == len(tasks)
    record(figures(installation, tasks))


def drop_every_third(operation: str, number: int) -> Fault | None:
    writes = ("PutItem", "UpdateItem", "BatchExecuteStatement", "SendMessage", "SendMessageBatch")
    return Fault.DROP if operation in writes and number % 3 == 0 else None


@pytest.mark.row("message-doubled")
def test_doubled_messages_run_once(installation: Installation, record: Callable[[Figures], None]) -> None:
    services, world = installation.services(), installation.world

    def plan(operation: str, _number: int) -> Fault | None:
        doubled = {"SendMessage": Fault.DOUBLE, "SendMessageBatch": Fault.DOUBLE, "ReceiveMessage": Fault.REPEAT}
        return doubled.get(operation)

    installation.proxy.begin(plan)
    tasks = installation.submit(services, numbers=range(40))
    with workers(installation, 2):
        wait_for(lambda: all_completed(installation, tasks))
        wait_for(lambda: installation.depth(installation.lane()) == 0)

    assert len(world.effects()) == len(tasks)
    record(figures(installation, tasks))


def all_completed(installation: Installation, tasks: list[Task]) -> bool:
    return all(task.status is Status.COMPLETED for task in installation.tasks(tasks))


@pytest.mark.row("message-at-once")
def test_of_two_workers_with_the_same_messages_one_runs_each(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    tasks = installation.submit(installation.services(queue=DeafQueue()), numbers=range(20))
    messages = [TaskMessage.of(task) for task in tasks]
    barrier = threading.Barrier(2)

    def work() -> int:
        execute = installation.services().execute
        barrier.wait(10)
        return sum(execute(messages[i : i + 10], lambda: 900.0).refused for i in (0, 10))

    with ThreadPoolExecutor(2) as pool:
        refused = sum(future.result() for future in [pool.submit(work), pool.submit(work)])

    assert refused == len(tasks)
    assert len(installation.world.effects()) == len(tasks)
    record(figures(installation, tasks))
