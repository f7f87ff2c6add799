"""Dead letters of callbacks: what is still owed is sent again."""

import pytest

from tasklane.message import CallbackMessage
from tasklane.redrive import RedriveReport
from tasklane.task import CallbackEvent, CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_message, a_pending_callback, a_running_task
from tests.support.installation import CALLBACKS, Installation
from tests.unit.redrive.conftest import for_ever, left


def bury_callback(home: Installation, task: Task, number: int = 1) -> None:
    home.store.put([task])
    home.dead_letters.send(CALLBACKS, CallbackMessage(task_id=task.id, number=number).to_json(), 0)


def redrive_callbacks(home: Installation) -> RedriveReport:
    return home.services.redrive.callbacks(limit=1000, remaining=for_ever)


def test_a_callback_that_waits_for_its_try_is_sent_again(home: Installation) -> None:
    task = a_completed_task(callback=a_pending_callback(tries=2), sends=7, due_at=NOW + 10**9)
    bury_callback(home, task, number=3)

    assert redrive_callbacks(home) == RedriveReport(sent=1)

    again = home.task(task)
    assert (again.callback, again.sends, again.due_at) == (task.callback, 0, NOW + 180_000)
    home.deliver()
    delivered = home.task(task).callback
    assert delivered is not None
    assert (delivered.state, delivered.tries) == (CallbackState.DELIVERED, 3)
    assert len(home.http.posted) == 1


def test_a_task_is_kept_until_its_callback_is_looked_after(home: Installation) -> None:
    task = a_completed_task(callback=a_pending_callback(), delete_at=NOW // 1000 + 60)
    bury_callback(home, task)

    redrive_callbacks(home)

    assert (home.task(task).delete_at or 0) > NOW // 1000 + 86_400


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (a_completed_task(callback=a_pending_callback(tries=1)), "pending"),
        (a_completed_task(callback=a_pending_callback(next_at=NOW + 3_600_000)), "pending"),
        (a_completed_task(callback=a_pending_callback(state=CallbackState.DELIVERED, tries=1)), "delivered"),
        (a_completed_task(callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=10)), "undelivered"),
        (a_running_task(callback=a_pending_callback(state=CallbackState.WAITING)), "waiting"),
        (a_completed_task(), "unknown"),
    ],
    ids=["has begun", "far off", "delivered", "undelivered", "not final", "no callback"],
)
def test_a_callback_that_needs_nothing_is_left_alone(home: Installation, task: Task, kind: str) -> None:
    bury_callback(home, task)

    assert redrive_callbacks(home) == RedriveReport(removed={kind: 1})

    assert home.task(task) == task
    assert home.queues.receive(CALLBACKS, 10, 0) == []
    assert home.dead_letters.depth(CALLBACKS) == 0


def test_an_event_of_a_running_task_is_owed_to_nobody(home: Installation) -> None:
    """Its try has the number of the end's first one, which is on its way already."""
    task = a_completed_task(callback=a_pending_callback(), due_at=NOW + 60_000)
    home.store.put([task])
    running = task.evolve(status=Status.RUNNING)
    home.dead_letters.send(CALLBACKS, CallbackMessage.telling(running, CallbackEvent.RUNNING, NOW).to_json(), 0)

    assert redrive_callbacks(home) == RedriveReport(removed={"pending": 1})
    assert home.task(task) == task


def test_what_is_no_callback_stays_with_the_callbacks(home: Installation) -> None:
    home.dead_letters.send(CALLBACKS, a_message().to_json(), 0)

    assert redrive_callbacks(home) == RedriveReport(poison=1)
    assert len(left(home, CALLBACKS)) == 1
