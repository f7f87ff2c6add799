"""The engine does not answer in time: the caller sees a timeout, and what it asked for has happened, or has not."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tasklane.bootstrap import Services
from tasklane.errors import Unavailable
from tasklane.submit import Submission
from tasklane.task import CallbackState, Status, Task
from tests.faults.figures import Figures
from tests.faults.history import backward_steps, figures, outcomes
from tests.faults.installation import Installation
from tests.faults.plans import WAITED_FOR, Fault, always, no_faults
from tests.faults.receiver import receiving
from tests.faults.recovery import drain, recover_here
from tests.support.waiting import wait_for

READ_SECONDS = 0.3
"""Of the tests' clients; the engine answers within a few milliseconds."""
STEPS = {
    "put": ("PutItem", 0),
    "send": ("SendMessage", 0),
    "receive": ("ReceiveMessage", 0),
    "claim": ("UpdateItem", 0),
    "save": ("UpdateItem", 1),
    "send of a callback": ("SendMessage", 1),
    "claim of a callback's try": ("UpdateItem", 2),
    "save of a callback's try": ("UpdateItem", 3),
    "delete": ("DeleteMessageBatch", 0),
    "delete of a callback": ("DeleteMessageBatch", 1),
}
"""What a task with a callback asks the engine for: the operation, and how many of it come before."""


@pytest.mark.long
@pytest.mark.row("read-timeout")
@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_is_not_answered_in_time_is_repeated_without_harm(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None], step: str
) -> None:
    installation = make_installation(read_seconds=READ_SECONDS)
    services = installation.services()
    with receiving() as receiver:
        tasks = [held_back(installation, services, receiver.url, STEPS[step], fault) for fault in WAITED_FOR]

    for task in tasks:
        assert task.status is Status.COMPLETED
        assert task.callback is not None
        assert task.callback.state is CallbackState.DELIVERED
        assert task.run == 1, "what was repeated was not done again"
    assert set(receiver.answered) == {task.id for task in tasks}
    assert len(installation.world.effects()) == len(tasks)
    assert set(outcomes(installation.journal).values()) == {1}
    assert not backward_steps(installation.journal)
    lost = step == "receive"  # the message that was received with the lost answer is hidden: nobody has its handle
    assert installation.depth(installation.lane()) == lost
    record(figures(installation, tasks))


def held_back(
    installation: Installation, services: Services, callback_url: str, request: tuple[str, int], fault: Fault
) -> Task:
    """A task of whose requests one is held back, as it has ended."""
    proxy, (operation, _) = installation.proxy, request
    proxy.faults.clear()
    proxy.timeouts.clear()
    proxy.begin(lambda *asked: fault if asked == request else None)
    (task,) = installation.submit(services, callback_url=callback_url)
    # Asked again to delete what is deleted, the engine refuses, which SQS does not.
    with suppress(Unavailable):
        drain(services, (3,))
    with suppress(Unavailable):
        drain(services, (0,))
    assert proxy.faults == {(operation, fault): 1}
    wait_for(lambda: proxy.timeouts == {operation: 1}, "its client hangs up")
    (ended,) = recover_here(installation, services, [task])
    return ended


@pytest.mark.long
def test_a_put_that_is_never_answered_in_time_is_repeated_by_its_caller(
    make_installation: Callable[..., Installation],
) -> None:
    """The SDK gives up, so the caller is told 503, though the task is kept; the same request again gives the same."""
    installation = make_installation(read_seconds=READ_SECONDS)
    services, wish = installation.services(), Submission(type="work", payload={"number": 7}, idempotency_key="once")
    installation.proxy.begin(always(Fault.WITHHOLD, "PutItem"))
    with pytest.raises(Unavailable):
        services.submit(wish)
    installation.proxy.begin(no_faults)
    again = services.submit(wish)
    ended = recover_here(installation, services, [again.task])

    assert again.replayed
    assert [task.status for task in ended] == [Status.COMPLETED]
    assert outcomes(installation.journal) == {again.task.id: 1}
