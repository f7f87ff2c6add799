"""Finding undelivered callbacks among many failures."""

import pytest

from tasklane import listing, shards
from tasklane.adapters.memory import ManualClock, MemoryTaskStore
from tasklane.listing import ListCallbacks
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_pending_callback


def given_up(at: int) -> Task:
    return a_completed_task(callback=a_pending_callback(state=CallbackState.UNDELIVERED), outcome_at=at)


def failed(at: int) -> Task:
    return a_completed_task(status=Status.FAILED, outcome_at=at)


@pytest.fixture
def store() -> MemoryTaskStore:
    return MemoryTaskStore()


@pytest.fixture
def list_callbacks(store: MemoryTaskStore) -> ListCallbacks:
    return ListCallbacks(store=store, clock=ManualClock(NOW + 1_000_000))


def every_page(list_callbacks: ListCallbacks, limit: int) -> list[list[str]]:
    pages, start = [], None
    while True:
        page = list_callbacks.undelivered(limit, start)
        pages.append([task.id for task in page.tasks])
        if page.next is None:
            return pages
        start = page.next


def test_only_undelivered_callbacks_are_listed_the_latest_first(
    store: MemoryTaskStore, list_callbacks: ListCallbacks
) -> None:
    older, newer = given_up(NOW + 1), given_up(NOW + 3)
    delivered = a_completed_task(callback=a_pending_callback(state=CallbackState.DELIVERED))
    store.put([older, failed(NOW + 2), newer, delivered])

    page = list_callbacks.undelivered(limit=10)

    assert [task.id for task in page.tasks] == [newer.id, older.id]
    assert page.next is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_together_show_each_once(store: MemoryTaskStore, list_callbacks: ListCallbacks, limit: int) -> None:
    wanted = [given_up(NOW + n // 3) for n in range(20)]  # three in each millisecond
    store.put([*wanted, *(failed(NOW + n) for n in range(20))])

    pages = every_page(list_callbacks, limit)

    listed = [task_id for page in pages for task_id in page]
    assert sorted(listed) == sorted(task.id for task in wanted)
    assert all(len(page) == limit for page in pages[:-1])
    assert listed == [t.id for t in sorted(wanted, key=lambda t: (t.outcome_at, t.id), reverse=True)]


def test_a_search_that_finds_nothing_for_long_says_where_to_go_on(
    store: MemoryTaskStore, list_callbacks: ListCallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PAGE", 2)
    monkeypatch.setattr(listing, "MOST", 20)
    hidden = given_up(NOW)
    store.put([hidden, *(failed(NOW + 1 + n) for n in range(60))])

    first = list_callbacks.undelivered(limit=1)
    assert (first.tasks, first.next is None) == ((), False)

    assert [task_id for page in every_page(list_callbacks, 1) for task_id in page] == [hidden.id]


def test_an_entry_whose_task_is_gone_does_not_end_the_search(
    store: MemoryTaskStore, list_callbacks: ListCallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = given_up(NOW)
    store.put([kept])
    ghosts = [(NOW + n, f"ghost-{n}") for n in range(1, 5)]
    real = store.failures

    def with_ghosts(shard: str, start: int, limit: int) -> list[tuple[int, str]]:
        entries = [*real(shard, start, limit), *(ghost for ghost in ghosts if ghost[0] <= start and shard == "0")]
        return sorted(entries, reverse=True)[:limit]

    monkeypatch.setattr(store, "failures", with_ghosts)

    assert [task.id for task in list_callbacks.undelivered(limit=5).tasks] == [kept.id]
