"""Whoever else is at the same tasks, each is sent once and no dead letter is left behind."""

from collections.abc import Callable

import pytest

from tasklane.redrive import RedriveReport
from tests.support.builders import a_message, a_task
from tests.support.installation import Installation
from tests.unit.redrive.conftest import LANE, bury, left, redrive, sent


def test_a_task_that_begins_meanwhile_is_judged_anew(
    home: Installation, overtaken: Callable[[Callable[[], object]], None]
) -> None:
    task = a_task()
    bury(home, task)
    overtaken(lambda: home.services.execute([a_message(task)], lambda: 60.0))

    assert redrive(home) == RedriveReport(removed={"completed": 1})
    assert sent(home) == []


def test_of_two_redrives_at_once_both_leave_nothing_behind(
    home: Installation, overtaken: Callable[[Callable[[], object]], None]
) -> None:
    task = a_task()
    bury(home, task, *(a_task() for _ in range(10)), task)
    overtaken(lambda: redrive(home))

    redrive(home)

    assert left(home) == []
    assert {message.task_id for message in sent(home)} >= {task.id}
    assert home.task(task).sends == 0


def test_a_task_that_others_change_again_and_again_keeps_its_dead_letter(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task()
    bury(home, task)
    monkeypatch.setattr(home.store, "save", lambda changes: [False] * len(changes))

    assert redrive(home) == RedriveReport(unanswered=1)
    assert home.dead_letters.depth(LANE) == 1
