"""Nothing leaves its dead-letter queue before what it asks for is done."""

import itertools
from collections.abc import Sequence

import pytest

from tasklane.errors import Unavailable
from tasklane.message import TaskMessage
from tasklane.redrive import RedriveReport
from tasklane.task import Task
from tests.support.builders import NOW, a_message, a_task
from tests.support.installation import Installation
from tests.unit.redrive.conftest import LANE, POISON, bury, left, redrive

# -- what stays --------------------------------------------------------------------------------------------------------


def test_what_is_no_message_stays_and_hides_nothing(home: Installation) -> None:
    for _ in range(25):
        home.dead_letters.send(LANE, POISON, 0)
    bury(home, *(a_task() for _ in range(5)))

    assert redrive(home, limit=5) == RedriveReport(sent=5, poison=25, more=True)
    assert redrive(home) == RedriveReport(poison=25)
    assert left(home) == [POISON] * 25


def test_at_most_so_many_are_looked_after_at_once(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(12)))

    assert redrive(home, limit=11) == RedriveReport(sent=11, more=True)
    assert redrive(home, limit=11) == RedriveReport(sent=1)


def test_it_ends_when_its_time_is_up(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(25)))
    seconds = iter([2.0, 1.0, 0.0])

    report = home.services.redrive.lane(LANE, limit=1000, remaining=lambda: next(seconds))

    assert report == RedriveReport(sent=20, more=True)


def test_an_empty_queue_is_no_work(home: Installation) -> None:
    assert redrive(home) == RedriveReport()


# -- what refuses ------------------------------------------------------------------------------------------------------


def test_a_dead_letter_stays_until_its_task_was_sent(home: Installation) -> None:
    task = a_task(sends=5)
    bury(home, task)
    home.dead_letters.send(LANE, a_message(task, run=7).to_json(), 0)
    home.lanes.refuse = 1

    with pytest.raises(Unavailable, match="the lane is closed"):
        redrive(home)
    assert home.dead_letters.depth(LANE) == 2
    assert home.task(task).due_at == NOW + 180_000, "the sweeper sends it, if nobody else does"

    assert redrive(home) == RedriveReport(sent=1, removed={"repeated": 1})


@pytest.mark.parametrize("method", ["get", "save"])
def test_dead_letters_stay_while_the_table_refuses(home: Installation, method: str) -> None:
    bury(home, a_task(), a_task())
    home.store.refuse(method)

    with pytest.raises(Unavailable):
        redrive(home)
    assert home.dead_letters.depth(LANE) == 2
    assert redrive(home).sent == 2


def test_what_was_done_before_something_refused_is_told(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(25)))
    remaining = itertools.count()

    def refuse_later() -> float:
        if next(remaining) == 1:
            home.store.refuse("save")
        return 1.0

    report = home.services.redrive.lane(LANE, limit=1000, remaining=refuse_later)

    assert report == RedriveReport(sent=10, unanswered=10, more=True)
    assert redrive(home) == RedriveReport(sent=15)


def test_a_record_that_cannot_be_read_is_not_taken_for_one_that_is_gone(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, other = a_task(), a_task()
    bury(home, newer, other)
    read = home.store.get

    def get(task_ids: Sequence[str]) -> dict[str, Task]:
        if list(task_ids) == [newer.id]:
            raise Unavailable("it cannot be read by this version")
        return {task_id: task for task_id, task in read(task_ids).items() if task_id != newer.id}

    monkeypatch.setattr(home.store, "get", get)

    assert redrive(home) == RedriveReport(sent=1, unanswered=1)
    assert [TaskMessage.from_json(body).task_id for body in left(home)] == [newer.id]


class Broken:
    """A dead-letter queue that hands out and does nothing else."""

    def __init__(self, home: Installation, *, receives: bool = True) -> None:
        self.receive = home.dead_letters.receive if receives else self.refuse

    def refuse(self, *_: object) -> None:
        raise Unavailable("the queue does not answer")

    acknowledge = release = refuse


def test_what_cannot_be_removed_or_given_back_is_no_reason_to_fail(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(home, a_task())
    home.dead_letters.send(LANE, POISON, 0)
    monkeypatch.setattr(home.services.redrive, "_dead_letters", Broken(home))

    assert redrive(home) == RedriveReport(sent=1, poison=1)


def test_a_dead_letter_queue_that_does_not_answer_is_unavailable(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home.services.redrive, "_dead_letters", Broken(home, receives=False))

    with pytest.raises(Unavailable):
        redrive(home)
