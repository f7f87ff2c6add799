"""A task is removed where nobody changed it first, and from every index."""

from typing import Any

import pytest

from tasklane.ports import Change, TaskStore
from tasklane.task import CallbackState, Status
from tests.contract.conftest import kept
from tests.support.builders import NOW, a_change, a_claim, a_completed_task, a_pending_callback, a_task


def test_a_removed_task_is_in_no_index_and_cannot_be_claimed(empty_store: TaskStore) -> None:
    task, other = a_task(status=Status.FAILED, due_at=NOW, outcome_at=NOW), a_task(due_at=NOW, outcome_at=NOW)
    kept(empty_store, task, other)

    assert empty_store.remove([task]) == [True]

    assert empty_store.get([task.id, other.id]) == {other.id: other}
    for shard in empty_store.shards:
        listed = [*empty_store.recent(shard, NOW, 9), *empty_store.failures(shard, NOW, 9)]
        assert task.id not in [*empty_store.due(shard, NOW, 9), *(one for _, one in listed)]
    assert empty_store.claim([a_claim(task)]) == [None]
    assert empty_store.save([a_change(task, sends=1)]) == [False]
    assert empty_store.get([task.id]) == {}, "a late message must not make it again"


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param({"status": Status.RUNNING}, id="it has begun"),
        pytest.param({"run": 1}, id="it was rescheduled"),
        pytest.param({"callback": a_pending_callback()}, id="its callback is sent again"),
    ],
)
def test_a_task_that_somebody_changed_first_is_not_removed(
    store: TaskStore, meanwhile: dict[str, Any], others: int
) -> None:
    task, more = a_task(), [a_task() for _ in range(others)]
    kept(store, task, *more)
    changed = task.evolve(**meanwhile)
    store.save([Change(before=task, after=changed)])

    assert store.remove([task, *more]) == [False, *(True for _ in more)]
    assert store.get([task.id, *(one.id for one in more)]) == {task.id: changed}


def test_a_callback_that_goes_on_keeps_its_task(store: TaskStore) -> None:
    task = a_completed_task(callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=10))
    kept(store, task)
    again = task.evolve(callback=a_pending_callback(state=CallbackState.PENDING, tries=0))
    store.save([Change(before=task, after=again)])

    assert store.remove([task]) == [False]
    assert store.remove([again]) == [True]


def test_a_removal_may_be_repeated(store: TaskStore) -> None:
    tasks = [a_task() for _ in range(30)]  # more than one request takes
    kept(store, *tasks[1:])

    assert store.remove(tasks[:1]) == [True]
    assert store.remove(tasks) == store.remove(tasks) == [True] * 30
    assert store.get([task.id for task in tasks]) == {}
    assert store.remove([]) == []
