"""Listing tasks: in order, page by page, each once, with filters that cost a bounded number of reads."""

from collections import Counter
from collections.abc import Sequence

import pytest

from tasklane import listing, shards
from tasklane.adapters.memory import ManualClock, MemoryTaskStore
from tasklane.listing import ListTasks, Wanted
from tasklane.shards import Index
from tasklane.task import Status, Task
from tests.support.builders import NOW, a_completed_task, a_running_task, a_task


class CountingStore(MemoryTaskStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        self.read["tasks"] += len(task_ids)
        return super().get(task_ids)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW + 1_000_000)


@pytest.fixture
def list_tasks(store: MemoryTaskStore, clock: ManualClock) -> ListTasks:
    return ListTasks(store=store, clock=clock)


def every_page(list_tasks: ListTasks, wanted: Wanted, limit: int) -> list[list[str]]:
    pages, start = [], None
    while True:
        page = list_tasks(wanted, limit, start)
        pages.append([task.id for task in page.tasks])
        if page.next is None:
            return pages
        start = page.next


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 7, 20, 100])
@pytest.mark.parametrize("at_once", [1, 4, 60])
def test_pages_together_show_each_task_once_and_in_order(
    store: MemoryTaskStore,
    list_tasks: ListTasks,
    monkeypatch: pytest.MonkeyPatch,
    newest: bool,  # noqa: FBT001 - a parameter of the test
    limit: int,
    at_once: int,
) -> None:
    monkeypatch.setattr(shards, "PAGE", 5)  # fewer than come in one moment, where all come at once
    tasks = [a_task(created_at=NOW + n // at_once) for n in range(60)]
    store.put(tasks)

    pages = every_page(list_tasks, Wanted(newest=newest), limit)

    ordered = sorted(tasks, key=lambda task: (task.created_at, task.id), reverse=newest)
    assert [task_id for page in pages for task_id in page] == [task.id for task in ordered]
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == -(-60 // limit)


def test_a_page_reads_no_more_tasks_than_it_shows(store: CountingStore, list_tasks: ListTasks) -> None:
    store.put([a_task(created_at=NOW + n) for n in range(200)])

    assert len(list_tasks(Wanted(), 20).tasks) == 20
    assert store.read["tasks"] == 20


def test_tasks_that_come_meanwhile_do_not_disturb_the_pages(store: MemoryTaskStore, list_tasks: ListTasks) -> None:
    old = [a_task(created_at=NOW + n) for n in range(10)]
    store.put(old)
    first = list_tasks(Wanted(), 5)
    store.put([a_task(created_at=NOW + 100)])

    second = list_tasks(Wanted(), 5, first.next)

    assert [task.id for task in (*first.tasks, *second.tasks)] == [task.id for task in reversed(old)]


def test_a_task_that_another_clock_put_ahead_is_the_newest(
    store: MemoryTaskStore, list_tasks: ListTasks, clock: ManualClock
) -> None:
    ahead = a_task(created_at=clock.now() + 5_000)
    store.put([a_task(), ahead])

    assert list_tasks(Wanted(), 1).tasks == (ahead,)


def test_a_task_whose_retention_has_ended_is_not_listed(
    store: MemoryTaskStore, list_tasks: ListTasks, clock: ManualClock
) -> None:
    gone = a_completed_task(delete_at=clock.now() // 1000)
    kept = a_completed_task(delete_at=clock.now() // 1000 + 1)
    store.put([gone, kept])

    assert list_tasks(Wanted(), 10).tasks == (kept,)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(status=Status.PENDING), ["pending", "its time has come", "labelled"]),
        (Wanted(status=Status.SCHEDULED), ["scheduled"]),
        (Wanted(status=Status.RUNNING), ["running"]),
        (Wanted(status=Status.FAILED), ["failed", "failed later"]),
        (Wanted(type="other"), ["pending"]),
        (Wanted(label="order:4711"), ["labelled"]),
        (Wanted(label="order:47"), []),
        (Wanted(label="order:4711", type="other"), []),
        (Wanted(status=Status.FAILED, type="echo"), ["failed", "failed later"]),
    ],
)
def test_filters(
    store: MemoryTaskStore, list_tasks: ListTasks, clock: ManualClock, wanted: Wanted, found: list[str]
) -> None:
    now = clock.now()
    tasks = {
        "pending": a_task(type="other"),
        "its time has come": a_task(status=Status.SCHEDULED, run_at=now),
        "scheduled": a_task(status=Status.SCHEDULED, run_at=now + 1),
        "labelled": a_task(labels={"order": "4711"}),
        "running": a_running_task(),
        "completed": a_completed_task(),
        "failed later": a_completed_task(status=Status.FAILED, outcome_at=NOW + 2),
        "failed": a_completed_task(status=Status.FAILED, outcome_at=NOW + 1),
        "undelivered": a_completed_task(outcome_at=NOW + 3),
    }
    store.put(list(tasks.values()))

    page = list_tasks(wanted, 10)

    assert {task.id for task in page.tasks} == {tasks[name].id for name in found}
    assert page.next is None


@pytest.mark.parametrize("newest", [True, False])
def test_failures_are_found_among_very_many_by_the_order_of_their_ends(
    store: CountingStore,
    list_tasks: ListTasks,
    newest: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    store.put([a_completed_task() for _ in range(listing.MOST * 2)])
    failed = [a_completed_task(status=Status.FAILED, created_at=NOW - n, outcome_at=NOW + n) for n in range(3)]
    store.put(failed)

    page = list_tasks(Wanted(status=Status.FAILED, newest=newest), 10)

    assert list(page.tasks) == (failed[::-1] if newest else failed)
    assert store.read["tasks"] == 3


def test_a_search_that_finds_nothing_for_long_says_where_to_go_on(store: CountingStore, list_tasks: ListTasks) -> None:
    oldest = a_task(type="rare", created_at=NOW - 1)
    store.put([oldest, *(a_task(created_at=NOW + n) for n in range(listing.MOST + 50))])

    first = list_tasks(Wanted(type="rare"), 10)

    assert (first.tasks, first.next is None) == ((), False)
    assert listing.MOST <= store.read["tasks"] < listing.MOST + listing.READ
    assert list_tasks(Wanted(type="rare"), 10, first.next).tasks == (oldest,)


def test_an_entry_whose_task_is_gone_does_not_end_the_list(
    store: MemoryTaskStore, list_tasks: ListTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [a_task(created_at=NOW + n) for n in range(10)]
    store.put(tasks)
    real = store.get
    gone = {task.id for task in tasks[3:]}
    monkeypatch.setattr(store, "get", lambda ids: {k: v for k, v in real(ids).items() if k not in gone})

    assert [one for page in every_page(list_tasks, Wanted(), 2) for one in page] == [t.id for t in tasks[2::-1]]


def test_a_moment_with_more_entries_than_are_ever_read_at_once_still_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards, "MAX_PAGE", 4)
    entries = [(NOW, f"{n:03}") for n in range(100)]
    index = Index(shards=["0"], read=lambda _, at, count: [e for e in entries if e[0] >= at][:count], newest=False)

    found, more = index.following(0, 4)
    assert (found, more) == (entries[:4], True)
    assert index.following(found[-1], 4) == ([], True)
