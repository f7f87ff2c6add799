"""What was given up comes back by a redrive, also where the process that redrives is killed in its midst."""

from collections.abc import Callable

import httpx
import pytest

from tasklane.message import TaskMessage
from tasklane.task import CallbackState, Status, Task
from tests.faults.figures import Figures
from tests.faults.history import added, figures
from tests.faults.installation import DeafQueue, Installation, a_queue_with_dead_letters
from tests.faults.plans import Fault, always, no_faults, nth
from tests.faults.processes import processes
from tests.faults.receiver import receiving
from tests.faults.recovery import drain, has_ended, recover_here
from tests.support.engine import Aws
from tests.support.waiting import wait_for

LANE = 3
RECEIVES = 5
STEPS = [
    ("ReceiveMessage", 0),
    ("BatchGetItem", 0),
    ("BatchExecuteStatement", 0),
    ("SendMessageBatch", 0),
    ("DeleteMessageBatch", 0),
    ("ReceiveMessage", 1),
    ("ChangeMessageVisibilityBatch", 0),
]


@pytest.fixture
def make_giving_up(aws: Aws, make_installation: Callable[..., Installation]) -> Callable[[], Installation]:
    """Makes an installation whose queues give a message up after five receives."""

    def make() -> Installation:
        pairs = [a_queue_with_dead_letters(aws, receives=RECEIVES, visibility_seconds=60) for _ in range(6)]
        lanes, dead = zip(*pairs, strict=True)
        return make_installation(
            TASKLANE_LANE_URLS=",".join(lanes[1:]),
            TASKLANE_DEAD_LETTER_URLS=",".join(dead[1:]),
            TASKLANE_CALLBACK_QUEUE_URL=lanes[0],
            TASKLANE_CALLBACK_DEAD_LETTER_URL=dead[0],
        )

    return make


def dead(installation: Installation) -> int:
    return installation.depth(installation.settings.dead_letter_urls[LANE])


@pytest.mark.long
@pytest.mark.row("dead-letters")
def test_tasks_whose_receives_are_burnt_come_back_and_complete(
    make_giving_up: Callable[[], Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_giving_up()
    services, proxy = installation.services(), installation.proxy
    with receiving() as receiver, processes(installation, "serve", "work"):
        tasks = installation.submit(services, numbers=range(12), callback_url=receiver.url)
        proxy.begin(always(Fault.REFUSE, "UpdateItem", "BatchExecuteStatement"))
        installation.world.open_gate("work")
        # Each claim is repeated by the SDK before it counts as refused.
        wait_for(lambda: dead(installation) == len(tasks), seconds=90)
        given_up_at = installation.clock.now()
        proxy.begin(no_faults)
        assert installation.world.effects() == []
        assert {task.status for task in installation.tasks(tasks)} == {Status.PENDING}

        with httpx.Client(base_url=installation.api, trust_env=False, timeout=30) as api:
            assert api.get(f"/v1/lanes/{LANE}").json()["dead_letters"] == len(tasks)
            report = api.post(f"/v1/lanes/{LANE}/redrive").json()
        # No sweeper runs here: what comes back, the redrive brought.
        wait_for(lambda: all(map(has_ended, installation.tasks(tasks))))

    assert (report["sent"], report["removed"], report["poison"], report["more"]) == (len(tasks), {}, 0, False)
    assert len(installation.world.effects()) == len(tasks)
    assert {task.id for task in tasks} == set(receiver.answered)
    assert dead(installation) == 0
    record(figures(installation, tasks, since=given_up_at))


@pytest.mark.long
@pytest.mark.row("dies-redrive")
def test_redrive_dies(aws: Aws, make_giving_up: Callable[[], Installation], record: Callable[[Figures], None]) -> None:
    total = []
    for operation, position in STEPS:
        for fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER):
            installation = make_giving_up()
            services, proxy = installation.services(), installation.proxy
            tasks = accept_dead(aws, installation, 3)
            with processes(installation, "serve") as (process,):
                proxy.kill = process.kill
                proxy.begin(nth(fault, operation, position))
                with pytest.raises(httpx.TransportError):
                    httpx.post(f"{installation.api}/v1/lanes/{LANE}/redrive", trust_env=False, timeout=30)
                wait_for(lambda process=process: process.has_ended)  # type: ignore[misc]
            killed_at = installation.clock.now()
            proxy.begin(no_faults)
            assert everything_is_known(aws, installation, tasks), (operation, position, fault)

            ended = recover_here(installation, services, tasks)

            assert {task.status for task in ended} == {Status.COMPLETED}
            assert len(installation.world.effects()) == len(tasks)
            total.append(figures(installation, tasks, since=killed_at))
    record(added(total))


def accept_dead(aws: Aws, installation: Installation, count: int) -> list[Task]:
    """Tasks whose messages were given up, beside something that is no message."""
    tasks = installation.submit(installation.services(queue=DeafQueue()), numbers=range(count))
    url = installation.settings.dead_letter_urls[LANE]
    for body in (*(TaskMessage.of(task).to_json() for task in tasks), "poison"):
        aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    return tasks


def everything_is_known(aws: Aws, installation: Installation, tasks: list[Task]) -> bool:
    """Whether each task has a message, alive or dead, and the poison is still there."""
    return dead(installation) >= 1 and dead(installation) + installation.depth(installation.lane(LANE)) > len(tasks)


def burn_receives(aws: Aws, url: str) -> None:
    """Receive everything from a queue, again and again, until it gives it up."""
    for _ in range(RECEIVES + 1):
        for _ in range(4):
            aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)


@pytest.mark.row("dead-callbacks")
def test_callbacks_whose_receives_are_burnt_come_back_and_are_delivered(
    aws: Aws, make_giving_up: Callable[[], Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_giving_up()
    services = installation.services()
    with receiving() as receiver:
        tasks = installation.submit(services, numbers=range(12), callback_url=receiver.url)
        drain(services, lanes=(LANE,))
        burn_receives(aws, installation.settings.callback_queue_url)
        url = installation.settings.callback_dead_letter_url
        assert (installation.depth(url), receiver.connections) == (len(tasks), 0)
        given_up_at = installation.clock.now()

        report = services.redrive.callbacks(limit=1000, remaining=lambda: 20.0)
        drain(services, lanes=(0,))

        assert (report.sent, installation.depth(url)) == (len(tasks), 0)
        assert {task_id: codes for task_id, codes in receiver.answered.items() if len(codes) > 1} == {}
    for task in installation.tasks(tasks):
        assert task.callback is not None
        assert task.callback.state is CallbackState.DELIVERED
    record(figures(installation, tasks, since=given_up_at))
