"""A lease is renewed by the run that holds it, which gets the task with what others wrote."""

from typing import Any

import pytest

from tasklane.ports import TaskStore
from tasklane.task import Document, Progress, Status, Task
from tests.contract.conftest import kept, stored
from tests.support.builders import NOW, a_change, a_document, a_running_task


def test_a_renewal_gives_the_whole_task_with_what_others_wrote(store: TaskStore) -> None:
    task = a_running_task()
    kept(store, task)
    store.save([a_change(task, cancel_requested=True)])
    renewal = a_change(task, lease_until=NOW + 999_000, progress=Progress(fraction=0.5))

    assert store.renew([renewal]) == store.renew([renewal]) == [stored(store, task)]
    assert stored(store, task) == renewal.after.evolve(cancel_requested=True)


def test_of_a_batch_of_renewals_those_of_lost_runs_are_nothing(store: TaskStore) -> None:
    tasks = [a_running_task() for _ in range(4)]
    kept(store, *tasks[:3])
    store.save([a_change(tasks[1], status=Status.COMPLETED)])

    answers = store.renew([a_change(task, lease_until=NOW + 999_000) for task in tasks])

    assert answers == [stored(store, tasks[0]), None, stored(store, tasks[2]), None]


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param({"run": 2}, id="another run"),
        pytest.param({"status": Status.PENDING}, id="waiting for the next"),
        pytest.param({"status": Status.CANCELLED}, id="final"),
    ],
)
def test_a_renewal_is_refused_where_the_run_no_longer_holds_the_task(
    store: TaskStore, elsewhere: dict[str, Any]
) -> None:
    task = a_running_task()
    kept(store, task)
    store.save([a_change(task, **elsewhere)])
    as_changed = stored(store, task)
    renewal = a_change(task, lease_until=NOW + 999_000, state=a_document('{"page":7}'))

    assert store.renew([renewal]) == [None]
    assert store.renew([renewal, renewal]) == [None, None]
    assert stored(store, task) == as_changed


def test_a_batch_of_renewals_whose_answer_was_lost_may_be_repeated(store: TaskStore) -> None:
    tasks = [a_running_task(state=a_document('{"page":1}')) for _ in range(30)]  # more than one request takes
    kept(store, *tasks)
    store.save([a_change(tasks[3], cancel_requested=True)])
    renewals = [
        a_change(
            task,
            lease_until=NOW + 999_000,
            due_at=NOW + 1_179_000,
            progress=Progress(fraction=0.5, message="half"),
            state=Document(text=None, size=5000, blob_key="t/state-1-ab") if position % 2 else None,
        )
        for position, task in enumerate(tasks)
    ]

    first, again = store.renew(renewals), store.renew(renewals)

    assert first == again == [stored(store, task) for task in tasks]
    assert [answer.cancel_requested for answer in first if isinstance(answer, Task)] == [n == 3 for n in range(30)]


def test_a_renewal_that_changes_nothing_gives_the_task_all_the_same(store: TaskStore) -> None:
    tasks = [a_running_task(), a_running_task()]
    kept(store, *tasks)
    store.save([a_change(tasks[0], cancel_requested=True)])
    nothing = [a_change(task) for task in tasks]

    assert store.renew(nothing[:1]) == [tasks[0].evolve(cancel_requested=True)]
    assert store.renew(nothing) == [tasks[0].evolve(cancel_requested=True), tasks[1]]
    assert store.save(nothing[:1]) == [True]
    assert store.save(nothing) == [True, True]
