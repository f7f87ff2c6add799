"""What every task store promises of put and get: an id is given once, and what cannot be read harms no other."""

import pytest

from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.errors import Unavailable
from tasklane.ports import TaskStore
from tests.contract.conftest import kept, stored
from tests.support.builders import NOW, a_claim, a_completed_task, a_task
from tests.support.engine import Aws

# -- put ---------------------------------------------------------------------------------------------------------------


def test_a_new_task_is_stored_as_it_was_given(store: TaskStore) -> None:
    task = a_task()

    assert store.put([task]) == [task]
    assert stored(store, task) == task


def test_putting_a_taken_id_gives_the_task_that_has_it_and_changes_nothing(store: TaskStore) -> None:
    first = a_task(labels={"made": "first"}, lease_id="aaaa0000")
    kept(store, first)

    assert store.put([first.evolve(labels={"made": "second"}, lease_id="bbbb1111")]) == [first]
    assert stored(store, first) == first


def test_a_repeated_put_gives_the_task_as_if_it_were_the_first(store: TaskStore) -> None:
    task = a_task()
    kept(store, task)

    assert store.put([task]) == [task]


@pytest.mark.parametrize(("seconds_left", "free"), [(1, False), (0, True), (-1, True)])
@pytest.mark.parametrize("others", [0, 1])
def test_the_id_of_a_task_whose_retention_has_ended_is_free(
    store: TaskStore, seconds_left: int, free: object, others: int
) -> None:
    """An idempotency key is the caller's again when its task is gone for readers, removed from the table or not."""
    old = a_completed_task(delete_at=NOW // 1000 + seconds_left)
    kept(store, old)
    new = a_task(id=old.id, created_at=NOW)

    answer = store.put([new, *(a_task() for _ in range(others))])[0]

    assert answer == (new if free else old)
    assert stored(store, new) == answer


def test_a_batch_of_puts_mixes_new_and_taken_ids(store: TaskStore) -> None:
    taken = [a_task(labels={"n": str(n)}) for n in range(3)]
    kept(store, *taken)
    new = [a_task() for _ in range(27)]  # more than one request takes

    answers = store.put([*new[:14], *(task.evolve(labels={"n": "other"}) for task in taken), *new[14:]])

    assert answers == [*new[:14], *taken, *new[14:]]
    assert store.get([task.id for task in (*new, *taken)]) == {task.id: task for task in (*new, *taken)}


# -- get ---------------------------------------------------------------------------------------------------------------


def test_a_task_that_does_not_exist_is_not_among_those_got(store: TaskStore) -> None:
    there, missing = a_task(), a_task()
    kept(store, there)

    assert store.get([missing.id]) == {}
    assert store.get([missing.id, there.id]) == {there.id: there}
    assert store.get([]) == {}


def test_more_tasks_than_one_request_gives_are_got(store: TaskStore) -> None:
    tasks = [a_task() for _ in range(130)]
    kept(store, *tasks)

    assert store.get([task.id for task in tasks]) == {task.id: task for task in tasks}


def test_an_id_may_be_asked_for_twice(store: TaskStore) -> None:
    one, other = a_task(), a_task()
    kept(store, one, other)

    assert store.get([one.id, one.id]) == {one.id: one}
    assert store.get([one.id, other.id, one.id]) == {one.id: one, other.id: other}


# -- records of another version ----------------------------------------------------------------------------------------


def test_a_record_that_this_version_cannot_read_is_unavailable_and_harms_no_other(aws: Aws) -> None:
    table = aws.a_table()
    store = DynamoDbTaskStore(aws.dynamodb, table)
    good, odd = a_task(), a_task()
    store.put([good])
    store.put([odd])
    aws.dynamodb.update_item(
        TableName=table,
        Key={"task_id": {"S": odd.id}},
        UpdateExpression="SET payload = :new",
        ExpressionAttributeValues={":new": {"B": b"a form of a later version"}},
    )

    with pytest.raises(Unavailable, match="cannot be read by this version"):
        store.get([odd.id])
    assert store.get([good.id, odd.id]) == {good.id: good}
    assert [isinstance(answer, Unavailable) for answer in store.put([odd])] == [True]
    assert [isinstance(answer, Unavailable) for answer in store.claim([a_claim(odd)])] == [True]


def test_a_store_that_is_there_answers(store: TaskStore) -> None:
    store.check()
