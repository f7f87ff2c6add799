"""A process is killed between two of its steps; what is left carries on.

The proxy holds the request between the two steps, kills the process, and lets the engine have the request or not.
"""

from collections.abc import Callable

import httpx
import pytest

from tasklane.task import CallbackState, Status, Task
from tests.faults.history import added, figures
from tests.faults.installation import Installation
from tests.faults.plans import Fault, no_faults, nth
from tests.faults.processes import Process, processes
from tests.faults.receiver import receiving
from tests.faults.recovery import drain, recover_here
from tests.faults.rows import Figures
from tests.support.waiting import wait_for

BODY = {"type": "work", "payload": {"number": 7}}
BOTH = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
SUBMIT = [("PutItem", 0), ("SendMessage", 0)]
WORK = [("UpdateItem", 0), ("UpdateItem", 1), ("SendMessage", 0), ("DeleteMessageBatch", 0)]
CALLBACK = [("GetItem", 0), ("UpdateItem", 0), ("UpdateItem", 1), ("DeleteMessageBatch", 0)]
SWEEP = [("Query", 0), ("BatchGetItem", 0), ("BatchExecuteStatement", 0), ("SendMessageBatch", 0)]


def wait_until_killed(process: Process) -> None:
    wait_for(lambda: process.has_ended)
    assert process.process.exitcode == -9, process.log


@pytest.mark.row("dies-submit")
def test_submit_dies(make_installation: Callable[[], Installation], record: Callable[[Figures], None]) -> None:
    total: list[Figures] = []
    for operation, position in SUBMIT:
        for fault in BOTH:
            installation = make_installation()
            services, proxy = installation.services(), installation.proxy
            with processes(installation, "serve") as (process,):
                proxy.kill = process.kill
                proxy.begin(nth(fault, operation, position))
                with pytest.raises(httpx.TransportError):
                    httpx.post(f"{installation.api}/v1/tasks", json=BODY, trust_env=False)
                wait_until_killed(process)
            proxy.begin(no_faults)
            put = [states[0] for states in installation.journal.values()]

            ended = recover_here(installation, services, put)

            # Killed before the put, nothing was accepted and nothing is kept.
            assert len(put) == (0 if (operation, fault) == ("PutItem", Fault.KILL_BEFORE) else 1)
            assert all(task.status is Status.COMPLETED for task in ended)
            if put:
                total.append(figures(installation, put, since=put[0].created_at))
    record(added(total))


@pytest.mark.row("dies-work")
def test_worker_dies(make_installation: Callable[[], Installation], record: Callable[[Figures], None]) -> None:
    total = []
    with receiving() as receiver:
        for operation, position in WORK:
            for fault in BOTH:
                installation = make_installation()
                services = installation.services()
                (task,) = installation.submit(services, callback_url=receiver.url)
                total.append(kill_and_recover(installation, [task], nth(fault, operation, position)))
                assert installation.task(task).status is Status.COMPLETED
                assert receiver.answered[task.id], (operation, position, fault)
    for fault in BOTH:
        installation = make_installation()
        tasks = installation.submit(installation.services(), numbers=range(3))
        total.append(kill_and_recover(installation, tasks, nth(fault, "BatchExecuteStatement")))
    record(added(total))


@pytest.mark.row("dies-callback")
def test_callback_dies(make_installation: Callable[[], Installation], record: Callable[[Figures], None]) -> None:
    total = []
    with receiving() as receiver:
        for operation, position in CALLBACK:
            for fault in BOTH:
                installation = make_installation()
                services = installation.services()
                (task,) = installation.submit(services, callback_url=receiver.url)
                drain(services, lanes=(3,))
                total.append(kill_and_recover(installation, [task], nth(fault, operation, position)))
                assert_delivered(installation.task(task), receiver.answered[task.id])
    total.append(killed_in_the_post(make_installation()))
    record(added(total))


def killed_in_the_post(installation: Installation) -> Figures:
    def answer(_task_id: str, before: int) -> int:
        if before == 0:
            installation.proxy.kill()
        return 204

    services = installation.services()
    with receiving(answer) as receiver:
        (task,) = installation.submit(services, callback_url=receiver.url)
        drain(services, lanes=(3,))
        result = kill_and_recover(installation, [task], no_faults)
        assert_delivered(installation.task(task), receiver.answered[task.id])
        assert len(receiver.answered[task.id]) == 2
    return result


def assert_delivered(task: Task, answers: list[int]) -> None:
    assert task.callback is not None
    assert task.callback.state is CallbackState.DELIVERED
    assert 204 in answers


def kill_and_recover(
    installation: Installation, tasks: list[Task], plan: Callable[[str, int], Fault | None]
) -> Figures:
    """Start a worker, let the plan kill it, and recover ``tasks``."""
    services, proxy = installation.services(), installation.proxy
    proxy.begin(no_faults)
    with processes(installation, "work") as (process,):
        proxy.kill = process.kill
        proxy.begin(plan)
        installation.world.open_gate("work")
        wait_until_killed(process)
    killed_at = installation.clock.now()
    proxy.begin(no_faults)
    recover_here(installation, services, tasks)
    return figures(installation, tasks, since=killed_at)


@pytest.mark.row("dies-sweep")
def test_sweeper_dies(make_installation: Callable[[], Installation], record: Callable[[Figures], None]) -> None:
    total = []
    for operation, position in SWEEP:
        for fault in BOTH:
            installation = make_installation()
            services, proxy = installation.services(), installation.proxy
            tasks = installation.accept_unsent(services, 2)
            installation.clock.advance_to(max(task.due_at or 0 for task in tasks) + 1)
            with processes(installation, "sweep") as (process,):
                proxy.kill = process.kill
                proxy.begin(nth(fault, operation, position))
                installation.world.open_gate("sweep")
                wait_until_killed(process)
            killed_at = installation.clock.now()
            proxy.begin(no_faults)
            ended = recover_here(installation, services, tasks)
            assert {task.status for task in ended} == {Status.COMPLETED}
            total.append(figures(installation, tasks, since=killed_at))
    record(added(total))
