"""A change is written where what it relies on has not changed, and recognised when it comes again."""

import pytest

from tasklane.errors import Unavailable
from tasklane.ports import Change, TaskStore
from tasklane.task import Callback, CallbackState, CallbackTry, Progress, Status
from tests.contract.conftest import kept, stored
from tests.support.builders import (
    NOW,
    a_change,
    a_document,
    a_pending_callback,
    a_running_task,
    a_task,
    an_attempt,
    an_error,
)

# -- save --------------------------------------------------------------------------------------------------------------


def test_a_change_is_written(store: TaskStore) -> None:
    task = a_running_task()
    kept(store, task)
    change = a_change(task, status=Status.COMPLETED, result=a_document(), finished_at=NOW, lease_id=None, due_at=None)

    assert store.save([change]) == [True]
    assert stored(store, task) == change.after


def test_fields_that_a_change_leaves_alone_keep_what_others_wrote(store: TaskStore) -> None:
    task = a_running_task()
    kept(store, task)
    store.save([a_change(task, progress=Progress(fraction=0.5))])

    store.save([a_change(task, lease_until=NOW + 999)])

    assert stored(store, task) == task.evolve(progress=Progress(fraction=0.5), lease_until=NOW + 999)


@pytest.mark.parametrize(
    ("guard", "elsewhere"),
    [
        ("status", {"status": Status.CANCELLED}),
        ("run", {"run": 2}),
        ("lease_until", {"lease_until": NOW + 777_000}),
        ("lease_until", {"lease_until": None}),
        ("due_at", {"due_at": NOW + 777_000}),
        ("due_at", {"due_at": None}),
        ("cancel_requested", {"cancel_requested": True}),
        ("callback", {"callback": a_pending_callback(tries=1)}),
        ("callback", {"callback": a_pending_callback(state=CallbackState.DELIVERED)}),
    ],
)
def test_a_change_is_refused_where_a_guarded_field_has_changed(
    store: TaskStore, guard: str, elsewhere: dict[str, object]
) -> None:
    task = a_running_task(callback=a_pending_callback())
    kept(store, task)
    as_changed = task.evolve(**elsewhere)
    assert store.save([Change(before=task, after=as_changed)]) == [True]
    late = a_change(task, unchanged=(guard,), correlation_id="late")

    assert store.save([late]) == [False]
    other = a_task()
    kept(store, other)
    assert store.save([late, a_change(other, due_at=None)]) == [False, True]
    assert stored(store, task) == as_changed


def test_a_guard_on_a_missing_field_refuses_where_it_has_come(store: TaskStore) -> None:
    task = a_task(due_at=None)
    kept(store, task)
    store.save([a_change(task, due_at=NOW)])
    late = a_change(task, unchanged=("due_at",), priority=1)

    assert store.save([late]) == [False]
    other = a_task()
    kept(store, other)
    assert store.save([late, a_change(other, due_at=None)]) == [False, True]


def test_a_change_of_a_task_that_is_gone_is_refused(store: TaskStore) -> None:
    gone, there = a_running_task(), a_running_task()
    kept(store, there)
    late = a_change(gone, status=Status.FAILED)

    assert store.save([late]) == [False]
    assert store.save([late, a_change(there, status=Status.FAILED)]) == [False, True]
    assert store.get([gone.id]) == {}


def test_a_change_whose_answer_was_lost_may_be_repeated(store: TaskStore) -> None:
    task = a_running_task(payload=a_document('"' + "x" * 300 + '"'))
    kept(store, task)
    done = a_change(
        task,
        status=Status.COMPLETED,
        result=a_document('"' + "y" * 600 + '"'),
        progress=Progress(fraction=1.0, message="done"),
        attempts=(an_attempt(),),
        labels={"a": "b"},
        callback=Callback(url="https://e.example/", history=(CallbackTry(number=1, started_at=1, duration_ms=2),)),
        lease_id=None,
        lease_until=None,
        due_at=None,
    )

    assert store.save([done]) == [True]
    assert store.save([done]) == [True]
    other = a_running_task()
    kept(store, other)
    again = [done, a_change(other, status=Status.FAILED, due_at=None)]
    assert store.save(again) == store.save(again) == [True, True]


@pytest.mark.parametrize("fraction", [0.0, 0.0001, 0.5, 0.3333, 1.0])
def test_written_progress_is_recognised(store: TaskStore, fraction: float) -> None:
    task = a_running_task()
    kept(store, task)
    change = a_change(task, progress=Progress(fraction=fraction))
    guarded = Change(before=change.before, after=change.after, unchanged=("status", "progress"))
    store.save([change])

    assert store.save([guarded]) == [True], "it must recognise what it has written itself"
    assert stored(store, task).progress == Progress(fraction=fraction)


def test_a_write_of_the_same_values_by_another_run_is_not_taken_for_ones_own(store: TaskStore) -> None:
    task = a_running_task()
    kept(store, task)
    renewal = a_change(task, lease_until=NOW + 999_000)
    store.save([a_change(task, run=2, lease_until=NOW + 999_000)])

    assert store.save([renewal]) == [False]
    assert store.renew([renewal]) == [None]


# -- renew -------------------------------------------------------------------------------------------------------------


def test_of_a_large_batch_each_change_gets_its_own_answer(store: TaskStore) -> None:
    tasks = [a_running_task() for _ in range(30)]
    kept(store, *tasks)
    lost = {3, 26}
    store.save([a_change(tasks[position], status=Status.CANCELLED) for position in lost])

    answers = store.save([a_change(task, status=Status.FAILED, error=an_error()) for task in tasks])

    assert [position for position, answer in enumerate(answers) if answer is not True] == sorted(lost)
    assert not any(isinstance(answer, Unavailable) for answer in answers)
    statuses = [stored(store, task).status for task in tasks]
    assert [position for position, status in enumerate(statuses) if status is Status.CANCELLED] == sorted(lost)


def test_nothing_to_write_is_no_request(store: TaskStore) -> None:
    assert store.put([]) == []
    assert store.claim([]) == []
    assert store.save([]) == []
    assert store.renew([]) == []
