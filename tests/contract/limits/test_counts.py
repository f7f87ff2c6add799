"""What every pair of stores promises about numbers: so many run at once, and the counts are those of the records."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tasklane.ports import Blocked, Change, ControlStore, TaskStore
from tasklane.task import Status, Task
from tasklane.throttle import Limit
from tasklane.timing import Timing
from tasklane.transitions import attempt_failed, completed, renewed
from tests.contract.limits.conftest import limited
from tests.support.builders import NOW, a_claim, a_document, a_task, an_error
from tests.support.limits import set_limit

TIMING: Final = Timing()


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
    set_limit(control, Limit(key="a", max_concurrent=2, since=NOW + 1))
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
