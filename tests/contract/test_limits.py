"""What every pair of stores promises about limits: counts that are those of the records, and time slots given once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tasklane.ports import Blocked, Change, ControlStore, TaskStore
from tasklane.task import Status, Task
from tasklane.throttle import Limit, LimitState, Rate
from tasklane.transitions import Timing, attempt_failed, completed, renewed
from tests.contract.conftest import Adapter, AwsAdapter
from tests.support.builders import NOW, a_claim, a_document, a_task, an_error

TIMING: Final = Timing()
RATE: Final = Rate(count=10, period_ms=1000)


@pytest.fixture
def stores(adapter: Adapter) -> tuple[TaskStore, ControlStore]:
    return adapter.both_stores()


@pytest.fixture
def threads(adapter: Adapter) -> int:
    """How many come at once; moto's tables are not made for more than one."""
    return 1 if isinstance(adapter, AwsAdapter) and not adapter.batches else 6


@pytest.fixture
def store(stores: tuple[TaskStore, ControlStore]) -> TaskStore:
    return stores[0]


@pytest.fixture
def control(stores: tuple[TaskStore, ControlStore]) -> ControlStore:
    return stores[1]


def limited(control: ControlStore, key: str, most: int | None) -> None:
    control.put_limit(Limit(key=key, max_concurrent=most, since=NOW), restart=True)


def in_use(control: ControlStore, *keys: str) -> list[int]:
    states = control.limits(keys)
    return [states[key].in_use for key in keys]


def waiting(store: TaskStore, count: int, *keys: str) -> list[Task]:
    tasks = [a_task(throttle_keys=keys) for _ in range(count)]
    store.put(tasks)
    return tasks


def started(store: TaskStore, task: Task, *keys: str) -> Task:
    (answer,) = store.claim([a_claim(task, takes=keys)])
    assert isinstance(answer, Task)
    assert (answer.status, answer.slots) == (Status.RUNNING, keys)
    return answer


def ended(task: Task) -> Change:
    return Change(before=task, after=completed(task, a_document("1"), NOW + 1, TIMING))


def test_so_many_run_at_once_and_no_more(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 2)
    first, second, third = waiting(store, 3, "a")

    answers = store.claim([a_claim(task, takes=("a",)) for task in (first, second, third)])

    assert [type(answer) for answer in answers] == [Task, Task, Blocked]
    assert answers[2] == Blocked(key="a")
    assert in_use(control, "a") == [2]
    assert store.get([third.id])[third.id] == third


def test_an_end_makes_room_exactly_once(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 1)
    first, second = waiting(store, 2, "a")
    change = ended(started(store, first, "a"))

    assert store.save([change]) == [True]
    assert store.save([change]) == [True], "a repetition"
    assert in_use(control, "a") == [0]
    assert store.get([first.id])[first.id].slots == ()
    started(store, second, "a")
    assert in_use(control, "a") == [1]


def test_an_end_that_is_refused_makes_no_room(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 1)
    (task,) = waiting(store, 1, "a")
    running = started(store, task, "a")
    lost = Change(before=running, after=attempt_failed(running, an_error("lost"), NOW + 1, TIMING, retry_at=NOW + 9000))

    assert store.save([lost]) == [True]
    assert store.save([ended(running)]) == [False]
    assert in_use(control, "a") == [0]


def test_a_repeated_claim_counts_once(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 5)
    (task,) = waiting(store, 1, "a")
    claim = a_claim(task, takes=("a",))

    answers = [store.claim([claim])[0] for _ in range(3)]

    assert answers[0] is not None
    assert answers == [answers[0]] * 3
    assert in_use(control, "a") == [1]


def test_a_claim_that_is_refused_counts_nothing(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 5)
    (task,) = waiting(store, 1, "a")
    started(store, task, "a")

    assert store.claim([a_claim(task, takes=("a",))]) == [None]
    assert store.claim([a_claim(a_task(), takes=("a",))]) == [None], "a task that is not there"
    assert in_use(control, "a") == [1]


def test_of_several_keys_all_are_taken_or_none(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 5)
    limited(control, "b", 1)
    first, second = waiting(store, 2, "a", "b")
    running = started(store, first, "a", "b")

    assert store.claim([a_claim(second, takes=("a", "b"))]) == [Blocked(key="b")]
    assert in_use(control, "a", "b") == [1, 1]
    store.save([ended(running)])
    assert in_use(control, "a", "b") == [0, 0]


def test_a_batch_mixes_limited_and_free_tasks(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 1)
    one, free, two, other = *waiting(store, 2, "a"), *waiting(store, 2)

    answers = store.claim([a_claim(one, takes=("a",)), a_claim(free), a_claim(two, takes=("a",)), a_claim(other)])
    running = [answer for answer in answers if isinstance(answer, Task)]

    assert [task.id for task in running] == [one.id, free.id, other.id]
    assert answers[2] == Blocked(key="a")
    assert in_use(control, "a") == [1]
    assert store.save([ended(task) for task in running]) == [True] * 3
    assert in_use(control, "a") == [0]


def test_nothing_starts_at_a_limit_of_none(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 0)
    (task,) = waiting(store, 1, "a")

    assert store.claim([a_claim(task, takes=("a",))]) == [Blocked(key="a")]


def test_a_heartbeat_keeps_the_slot(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 1)
    (task,) = waiting(store, 1, "a")
    running = started(store, task, "a")

    (answer,) = store.renew([Change(before=running, after=renewed(running, NOW + 1000, TIMING))])

    assert isinstance(answer, Task)
    assert answer.slots == ("a",)
    assert in_use(control, "a") == [1]


def test_a_limit_may_change_and_go_while_its_tasks_run(store: TaskStore, control: ControlStore) -> None:
    limited(control, "a", 3)
    tasks = waiting(store, 4, "a")
    running = [started(store, task, "a") for task in tasks[:3]]

    limited(control, "a", 1)
    assert in_use(control, "a") == [3]
    store.save([ended(task) for task in running[:2]])
    assert store.claim([a_claim(tasks[3], takes=("a",))]) == [Blocked(key="a")]

    control.remove_limit("a")
    assert control.limits(["a"]) == {}
    assert store.save([ended(running[2])]) == [True]
    started(store, tasks[3], "a")
    limited(control, "a", 2)
    assert in_use(control, "a") == [1]


def test_who_comes_at_once_shares_what_there_is(store: TaskStore, control: ControlStore, threads: int) -> None:
    limited(control, "a", 4)
    limited(control, "b", 6)
    tasks = waiting(store, 12, "a", "b")

    with ThreadPoolExecutor(max_workers=threads) as pool:
        answers = list(pool.map(lambda task: store.claim([a_claim(task, takes=("a", "b"))])[0], tasks))
    running = [answer for answer in answers if isinstance(answer, Task)]

    assert len(running) <= 4
    assert in_use(control, "a", "b") == [len(running)] * 2
    assert len(running) == 4 or any(not isinstance(answer, Task | Blocked) for answer in answers)


# -- limits as such ----------------------------------------------------------------------------------------------------


def test_a_limit_reads_as_it_was_written(control: ControlStore) -> None:
    limits = [
        Limit(key="account:Größe/7 #", max_concurrent=4, rate=Rate(count=20, period_ms=1500, burst=3), since=NOW),
        Limit(key="b", max_concurrent=0, since=NOW),
        Limit(key="c", rate=RATE, since=NOW + 1),
    ]
    for limit in limits:
        control.put_limit(limit, restart=True)

    found = control.limits([limit.key for limit in limits] + ["nobody"])

    assert found == {limit.key: LimitState(limit=limit, in_use=0) for limit in limits}
    control.put_limit(Limit(key="b", rate=RATE, since=NOW), restart=True)
    assert control.limits(["b"])["b"].limit == Limit(key="b", rate=RATE, since=NOW)


def test_limits_are_listed_in_their_order_page_by_page(control: ControlStore) -> None:
    for key in ("b", "a", "d", "c", "ä"):
        limited(control, key, 1)
    control.remove_limit("c")

    assert control.limit_keys(None, 10) == ["a", "b", "d", "ä"]
    assert control.limit_keys("a", 2) == ["b", "d"]
    assert control.limit_keys("d", 10) == ["ä"]


def test_removing_what_is_not_there_is_fine(control: ControlStore) -> None:
    control.remove_limit("nobody")

    assert control.limits(["nobody"]) == {}
    assert control.limit_keys(None, 10) == []


def test_many_limits_are_read_at_once(control: ControlStore) -> None:
    keys = [f"account:{n:03}" for n in range(120)]
    for key in keys:
        limited(control, key, 1)

    assert sorted(control.limits(keys)) == keys


def reserved(control: ControlStore, limit: Limit, now: int, count: int) -> list[int]:
    slots = control.reserve(limit, now, count)
    assert slots is not None
    return slots


# -- time slots --------------------------------------------------------------------------------------------------------


def test_time_slots_follow_one_another(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    control.put_limit(limit, restart=True)

    slots = reserved(control, limit, NOW, 3) + reserved(control, limit, NOW + 1, 2)

    assert slots == [NOW, NOW + 105, NOW + 210, NOW + 315, NOW + 420]


def test_after_a_while_without_any_the_next_slot_is_now(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    control.put_limit(limit, restart=True)
    control.reserve(limit, NOW, 3)

    assert control.reserve(limit, NOW + 5000, 2) == [NOW + 5000, NOW + 5105]


def test_a_burst_comes_at_once_and_has_to_be_saved_again(control: ControlStore) -> None:
    limit = Limit(key="a", rate=Rate(count=10, period_ms=1000, burst=3), since=NOW)
    control.put_limit(limit, restart=True)

    assert control.reserve(limit, NOW, 5) == [NOW, NOW, NOW, NOW + 105, NOW + 210]
    assert control.reserve(limit, NOW + 60_000, 3) == [NOW + 60_000] * 3


def test_a_new_rate_forgets_the_slots_that_were_given(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    control.put_limit(limit, restart=True)
    control.reserve(limit, NOW, 1000)
    control.put_limit(limit, restart=False)
    assert control.reserve(limit, NOW, 1) == [NOW + 105_000]

    control.put_limit(limit, restart=True)
    assert control.reserve(limit, NOW, 1) == [NOW]


def test_who_knows_another_rate_reserves_nothing(control: ControlStore) -> None:
    old, new = (Limit(key="a", rate=Rate(count=1, period_ms=86_400_000), since=NOW + n) for n in range(2))
    assert control.reserve(old, NOW, 1) is None, "there is no such limit"
    control.put_limit(old, restart=True)
    assert control.reserve(old, NOW, 1) == [NOW]
    control.put_limit(new, restart=True)

    assert control.reserve(old, NOW, 1) is None
    assert control.reserve(new, NOW, 1) == [NOW]
    control.remove_limit("a")
    assert control.reserve(new, NOW, 1) is None
    assert control.limits(["a"]) == {}


def test_who_reserves_at_once_gets_different_slots(control: ControlStore, threads: int) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    control.put_limit(limit, restart=True)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        slots = [slot for some in pool.map(lambda _: reserved(control, limit, NOW, 2), range(12)) for slot in some]

    assert sorted(slots) == [NOW + n * 105 for n in range(24)]


# -- who waits ---------------------------------------------------------------------------------------------------------


def test_who_is_waited_for_is_noted_until_it_is_forgotten(control: ControlStore) -> None:
    assert control.waited_for() == {}
    control.note_waiting("a", NOW + 1)
    control.note_waiting("b", NOW + 2)
    control.note_waiting("a", NOW + 9)

    control.forget_waiting("a", NOW + 1)
    control.forget_waiting("b", NOW + 2)
    control.forget_waiting("c", NOW)

    assert control.waited_for() == {"a": NOW + 9}, "somebody else has noted it for longer"
