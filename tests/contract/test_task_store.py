"""What every task store promises: conditional writes, in batches, each safe to repeat."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.errors import Unavailable
from tasklane.ports import Change, TaskStore
from tasklane.task import Callback, CallbackState, CallbackTry, Document, Progress, Status, Task
from tests.support.builders import (
    NOW,
    a_change,
    a_claim,
    a_completed_task,
    a_document,
    a_pending_callback,
    a_running_task,
    a_task,
    a_task_with_every_field,
    an_attempt,
    an_error,
)
from tests.support.engine import Aws


def stored(store: TaskStore, task: Task) -> Task:
    """The task as the store has it now."""
    return store.get([task.id])[task.id]


def kept(store: TaskStore, *tasks: Task) -> None:
    assert store.put(tasks) == list(tasks)


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


# -- every field -------------------------------------------------------------------------------------------------------


def test_every_field_of_a_task_is_kept(store: TaskStore) -> None:
    task = a_task_with_every_field()
    plain = a_task()
    assert [n for n in Task.__slots__ if getattr(task, n) == getattr(plain, n)] == [], "the builder leaves a default"

    kept(store, task)

    assert stored(store, task) == task
    assert store.get([task.id, plain.id]) == {task.id: task}


def test_a_change_writes_every_field(store: TaskStore) -> None:
    before = a_running_task()
    kept(store, before)
    after = a_task_with_every_field(id=before.id)

    assert store.save([Change(before=before, after=after, unchanged=("status",))]) == [True]

    fixed_at_creation = {"type": before.type, "created_at": before.created_at, "tenant": before.tenant}
    assert stored(store, before).evolve(**fixed_at_creation) == after.evolve(**fixed_at_creation)


def test_a_change_may_take_every_optional_field_away(store: TaskStore) -> None:
    before = a_task_with_every_field(status=Status.RUNNING)
    kept(store, before)
    bare = a_running_task(id=before.id, run=before.run, payload=before.payload)

    assert store.save([Change(before=before, after=bare)]) == [True]
    assert stored(store, before) == bare


_json_text = st.text(alphabet=st.characters(exclude_categories=["Cs"])).map(lambda text: f'"{text}"')


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=_json_text, result=st.integers(1, 400).flatmap(lambda n: _json_text.map(lambda text: text * n)))
def test_documents_come_back_as_they_were(store: TaskStore, payload: str, result: str) -> None:
    task = a_completed_task(payload=a_document(payload), result=a_document(result[:4000]))
    kept(store, task)

    assert stored(store, task) == task


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('""', id="empty"),
        pytest.param('"' + "a" * 254 + '"', id="at the size from which it is deflated"),
        pytest.param('"' + "🦊" * 900 + '"', id="emoji, deflated"),
        pytest.param('"' + "x" * 4094 + '"', id="the largest that is inline"),
        pytest.param(
            '"' + "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1300)) + '"', id="barely deflatable"
        ),
        pytest.param('"\\u0000\\ud800"', id="escapes"),
    ],
)
def test_a_document_of_any_kind_comes_back(store: TaskStore, text: str) -> None:
    task = a_completed_task(payload=a_document(text), result=a_document(text))
    kept(store, task)

    assert stored(store, task) == task


def test_a_document_kept_elsewhere_comes_back_as_its_key_and_size(store: TaskStore) -> None:
    elsewhere = Document(text=None, size=5_000_000, blob_key="t/payload-1")
    task = a_task(payload=elsewhere)
    kept(store, task)

    assert stored(store, task).payload == elsewhere


# -- claim -------------------------------------------------------------------------------------------------------------


def test_a_claim_gives_the_whole_task_as_its_run_begins(store: TaskStore) -> None:
    task = a_task(
        status=Status.SCHEDULED, run_at=NOW, labels={"a": "b"}, error=an_error(), progress=Progress(fraction=0.5)
    )
    kept(store, task)
    claim = a_claim(task)

    (claimed,) = store.claim([claim])

    assert claimed == task.evolve(
        status=Status.RUNNING,
        run=1,
        started_at=claim.now,
        lease_id=claim.lease_id,
        lease_until=claim.lease_until,
        run_at=None,
        progress=None,
    )
    assert stored(store, task) == claimed


def test_a_claim_moves_due_only_where_it_says_so(store: TaskStore) -> None:
    stays, moves = a_task(), a_task()
    kept(store, stays, moves)

    claimed = store.claim([a_claim(stays), a_claim(moves, due_at=NOW + 999_000)])

    assert [task.due_at for task in claimed if isinstance(task, Task)] == [stays.due_at, NOW + 999_000]


def test_a_task_is_claimed_once(store: TaskStore) -> None:
    task = a_task()
    kept(store, task)

    first, second = store.claim([a_claim(task)])[0], store.claim([a_claim(task, now=NOW + 2000)])[0]

    assert isinstance(first, Task)
    assert second is None
    assert stored(store, task) == first


def test_a_claim_whose_answer_was_lost_may_be_repeated(store: TaskStore) -> None:
    task = a_task()
    kept(store, task)
    claim = a_claim(task)

    assert store.claim([claim]) == store.claim([claim]) == [stored(store, task)]
    other = a_task()
    kept(store, other)
    again = [claim, a_claim(other)]  # in a batch as well
    first, second = store.claim(again), store.claim(again)
    assert first == second == [stored(store, task), stored(store, other)]


def test_a_claim_is_refused_where_the_task_is_not_as_announced(store: TaskStore) -> None:
    waiting = [a_task() for _ in range(3)]
    running, done, gone = a_running_task(), a_completed_task(), a_task()
    kept(store, *waiting, running, done)
    claims = [
        a_claim(waiting[0], run=2),
        a_claim(waiting[1], run=0),
        a_claim(waiting[2], status="scheduled"),
        a_claim(running, status="pending"),
        a_claim(running, status="pending", run=1),
        a_claim(done, status="pending"),
        a_claim(done, status="pending", run=1),
        a_claim(gone),
    ]

    assert [store.claim([claim])[0] for claim in claims] == [None] * len(claims)
    assert store.claim(claims) == [None] * len(claims)
    everything = [*waiting, running, done]
    assert store.get([task.id for task in (*everything, gone)]) == {task.id: task for task in everything}


def test_of_a_large_batch_each_claim_gets_its_own_answer(store: TaskStore) -> None:
    tasks = [a_task() for _ in range(30)]
    kept(store, *(task for position, task in enumerate(tasks) if position % 3 != 2))
    store.claim([a_claim(task) for task in tasks[1::3]])  # somebody else was faster there

    answers = store.claim([a_claim(task, now=NOW + 5000) for task in tasks])

    claimed = [position for position, answer in enumerate(answers) if isinstance(answer, Task)]
    assert claimed == list(range(0, 30, 3))
    assert [answer.id for answer in answers if isinstance(answer, Task)] == [tasks[position].id for position in claimed]
    assert not any(isinstance(answer, Unavailable) for answer in answers)


def test_a_later_run_is_claimed_under_its_own_number(store: TaskStore) -> None:
    task = a_task(run=2, attempts=(an_attempt(1), an_attempt(2)))
    kept(store, task)

    (claimed,) = store.claim([a_claim(task)])

    assert isinstance(claimed, Task)
    assert claimed.run == 3


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


# -- remove ------------------------------------------------------------------------------------------------------------


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
