"""What a worker knows of pauses: asked for once in a while, and good while nobody answers."""

import pytest

from tasklane.gate import REMEMBER_MS
from tasklane.line import lane_target
from tasklane.task import Status
from tests.support.installation import Installation


def test_a_worker_asks_once_in_a_while_however_many_tasks_there_are(home: Installation) -> None:
    for _ in range(50):
        home.submit("note")
    while home.queues.depth(3):
        home.work()
    assert home.control.reads == 1

    home.clock.advance(REMEMBER_MS / 1000)
    home.submit("note")
    home.work()
    assert home.control.reads == 2


def test_a_clock_set_back_does_not_make_old_knowledge_last(home: Installation) -> None:
    home.submit("note")
    home.work()
    home.services.pause.pause(lane_target(3))
    home.clock.advance(-3600)
    task = home.submit("note")
    home.work()

    assert home.task(task).line == "pause:lane:3"


def test_what_was_known_stands_while_the_store_does_not_answer(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    home.submit("note")
    home.work()
    home.clock.advance(60)
    home.control.refuse = 2
    task = home.submit("note")

    home.work()
    assert home.task(task).line == "pause:lane:3"


def test_while_nothing_is_known_messages_come_again(home: Installation) -> None:
    home.control.refuse = 1
    task = home.submit("note")

    assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).status is Status.COMPLETED


@pytest.mark.parametrize("method", ["get", "save"])
def test_a_task_that_could_not_be_held_is_announced_again(home: Installation, method: str) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.store.refuse(method)

    assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).line == "pause:lane:3"


def test_a_sweep_that_cannot_read_the_pauses_says_so(home: Installation) -> None:
    home.control.refuse = 1

    report = home.sweep()

    assert (report.failed, report.complete) == (1, False)
