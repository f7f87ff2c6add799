"""A task that no handler here can take waits, or fails and says why."""

from pydantic import BaseModel, ConfigDict

from tasklane.document import INLINE_LIMIT
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.support.builders import a_task
from tests.support.installation import Installation
from tests.unit.execute.conftest import lambda_of


def delivered(home: Installation, task: Task) -> Task:
    """A task that is in the store and announced, though no submission would have accepted it."""
    home.store.put([task])
    home.lanes.send([TaskMessage.of(task)])
    return task


def test_a_type_that_this_worker_does_not_know_waits_for_the_next_deployment(home: Installation) -> None:
    task = delivered(home, a_task(type="of-tomorrow"))
    home.work()

    waiting = home.task(task)
    assert waiting.status is Status.SCHEDULED
    assert waiting.error is not None
    assert waiting.error.type == "UnknownTaskType"


def test_a_type_for_external_workers_is_not_run_here(home: Installation, registry: Registry) -> None:
    registry.declare_external("scan")
    task = delivered(home, a_task(type="scan", max_attempts=1))
    home.work()

    failed = home.task(task)
    assert failed.error is not None
    assert (failed.status, failed.error.type) == (Status.FAILED, "HandlerStopped")


def test_a_payload_that_fits_no_longer_fails_the_task(home: Installation, registry: Registry) -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    @registry.task("echo")
    def strict(payload: Strict) -> None: ...

    task = delivered(home, a_task(type="echo"))
    home.work()

    failed = home.task(task)
    assert failed.error is not None
    assert (failed.status, failed.error.type) == (Status.FAILED, "InvalidPayload")


def test_a_payload_that_cannot_be_fetched_is_tried_again(
    home: Installation, registry: Registry, no_pauses: int
) -> None:
    registry.task("it")(lambda_of("done"))
    task = home.submit("it", {"text": "x" * INLINE_LIMIT})
    home.blobs.refuse = no_pauses
    home.work()
    assert home.task(task).status is Status.SCHEDULED

    home.clock.advance(5)
    home.work()
    assert home.result(task) == "done"
