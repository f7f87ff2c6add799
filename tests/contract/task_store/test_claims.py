"""Every task store gives a run to one worker, and to that one again."""

from tasklane.errors import Unavailable
from tasklane.ports import TaskStore
from tasklane.task import Progress, Status, Task
from tests.contract.conftest import kept, stored
from tests.support.builders import NOW, a_claim, a_completed_task, a_running_task, a_task, an_attempt, an_error


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


def test_a_claim_ahead_of_a_start_knows_when_that_is(store: TaskStore) -> None:
    ahead, late = a_task(), a_task()
    kept(store, ahead, late)

    claimed = store.claim([a_claim(ahead, starts_at=NOW + 2000), a_claim(late, starts_at=NOW - 1)])

    assert [task.started_at for task in claimed if isinstance(task, Task)] == [NOW + 2000, NOW + 1000]
    assert [stored(store, task).started_at for task in (ahead, late)] == [NOW + 2000, NOW + 1000]


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
