"""What others do to the task meanwhile is respected."""

from collections.abc import Sequence

import pytest

from tasklane.errors import TaskNotFound, Unavailable
from tasklane.manage import TRIES
from tasklane.ports import Change
from tasklane.task import Status
from tests.support.builders import a_change, a_task
from tests.support.installation import Installation
from tests.unit.manage.conftest import kept


def test_what_others_changed_meanwhile_is_decided_anew(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_task()
    kept(home, task)
    save = home.store.save

    def started_first(changes: Sequence[Change]) -> list[bool | Unavailable]:
        monkeypatch.undo()
        save([a_change(task, status=Status.RUNNING, run=1)])
        return save(changes)

    monkeypatch.setattr(home.store, "save", started_first)

    assert home.services.manage.cancel(task.id).status is Status.RUNNING
    assert home.task(task).cancel_requested


def test_a_task_that_others_change_all_the_time_is_unavailable(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = kept(home, a_task())
    asked: list[int] = []

    def lost(changes: Sequence[Change]) -> list[bool | Unavailable]:
        asked.append(1)
        return [False]

    monkeypatch.setattr(home.store, "save", lost)

    with pytest.raises(Unavailable, match="being changed by others"):
        home.services.manage.cancel(task_id)
    assert len(asked) == TRIES


def test_a_change_that_the_table_does_not_take_raises(home: Installation) -> None:
    task_id = kept(home, a_task())
    home.store.refuse("save")

    with pytest.raises(Unavailable):
        home.services.manage.cancel(task_id)


def test_a_task_that_is_gone_cannot_be_changed(home: Installation) -> None:
    for change in (home.services.manage.cancel, home.services.manage.retry, home.services.manage.redeliver):
        with pytest.raises(TaskNotFound):
            change("nobody")
