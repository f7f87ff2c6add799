"""What is due, recent or has failed is found among all tasks."""

import pytest

from tasklane.ports import TaskStore
from tasklane.task import Status
from tests.contract.conftest import kept, stored
from tests.support.builders import NOW, a_change, a_completed_task, a_running_task, a_task

# -- due ---------------------------------------------------------------------------------------------------------------


def due_everywhere(store: TaskStore, until: int, limit: int = 100) -> list[str]:
    return [task_id for shard in store.shards for task_id in store.due(shard, until, limit)]


def test_the_shards_together_cover_every_due_task(empty_store: TaskStore) -> None:
    due = [a_task(due_at=NOW - n) for n in range(60)]
    kept(empty_store, *due, a_task(due_at=NOW + 1), a_task(due_at=None))

    found = due_everywhere(empty_store, NOW)

    assert sorted(found) == sorted(task.id for task in due)
    assert len({shard for shard in empty_store.shards if empty_store.due(shard, NOW, 1)}) > 1


def test_the_longest_due_come_first_and_no_more_than_the_limit(empty_store: TaskStore) -> None:
    tasks = {task.id: task for task in (a_task(due_at=NOW - (n * 7919) % 1000) for n in range(60))}
    kept(empty_store, *tasks.values())

    for shard in empty_store.shards:
        everything = [tasks[task_id] for task_id in empty_store.due(shard, NOW, 100)]
        times = [task.due_at for task in everything if task.due_at is not None]
        assert times == sorted(times)
        assert len(everything) == len(times)
        assert [tasks[task_id].due_at for task_id in empty_store.due(shard, NOW, 2)] == times[:2]


def test_a_task_is_due_from_its_time_on_until_it_is_looked_after(empty_store: TaskStore) -> None:
    task = a_running_task(due_at=NOW)
    kept(empty_store, task)

    assert due_everywhere(empty_store, NOW - 1) == []
    assert due_everywhere(empty_store, NOW) == [task.id]
    empty_store.save([a_change(task, due_at=NOW + 5000)])
    assert due_everywhere(empty_store, NOW) == []
    empty_store.save([a_change(stored(empty_store, task), status=Status.COMPLETED, due_at=None)])
    assert due_everywhere(empty_store, NOW + 999_999) == []


# -- recent, failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [True, False])
def test_every_task_is_listed_by_its_creation(empty_store: TaskStore, newest: bool) -> None:  # noqa: FBT001 - a parameter
    tasks = [a_task(created_at=NOW - (n * 7919) % 1000) for n in range(60)]
    kept(empty_store, *tasks)
    created = [task.created_at for task in tasks]

    found = []
    for shard in empty_store.shards:
        entries = empty_store.recent(shard, max(created) if newest else min(created), 100, newest=newest)
        times = [at for at, _ in entries]
        assert times == sorted(times, reverse=newest)
        for n, at in enumerate(times[:2]):
            assert empty_store.recent(shard, at, 2, newest=newest) == entries[n : n + 2]
        found += entries

    assert sorted(found) == sorted((task.created_at, task.id) for task in tasks)


@pytest.mark.parametrize("newest", [True, False])
def test_what_ended_without_completing_is_found_by_its_end(empty_store: TaskStore, newest: bool) -> None:  # noqa: FBT001 - a parameter
    failed = [a_task(status=Status.FAILED, outcome_at=NOW - (n * 7919) % 1000) for n in range(60)]
    beyond = a_task(status=Status.FAILED, outcome_at=NOW + 1 if newest else NOW - 1001)
    kept(empty_store, *failed, a_completed_task(), a_task(), beyond)
    start = NOW if newest else NOW - 1000

    found = []
    for shard in empty_store.shards:
        entries = empty_store.failures(shard, start, 100, newest=newest)
        assert [at for at, _ in entries] == sorted((at for at, _ in entries), reverse=newest)
        few = empty_store.failures(shard, start, 2, newest=newest)
        assert [at for at, _ in few] == [at for at, _ in entries[:2]]
        found += entries

    assert sorted(found) == sorted((task.outcome_at or 0, task.id) for task in failed)
