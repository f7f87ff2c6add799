"""The next in line is read for several starts at once, as long as nobody else takes them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tasklane.bootstrap import Services
from tasklane.line import limit_line
from tasklane.standing import Standing
from tasklane.task import Status, Task
from tests.support.builders import a_change, a_task
from tests.support.installation import SETTINGS, Installation, UnreliableStore
from tests.unit.throttle.conftest import Peak, in_use, limit, statuses, submitted


@pytest.fixture
def reads(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the line and the records were read."""
    reads: Counter[str] = Counter()
    in_line, get = home.store.in_line, home.store.get

    def in_line_counted(line: str, limit: int) -> list[str]:
        reads["in_line"] += 1
        return in_line(line, limit)

    def get_counted(task_ids: list[str]) -> dict[str, Task]:
        reads["get"] += 1
        return get(task_ids)

    monkeypatch.setattr(home.store, "in_line", in_line_counted)
    monkeypatch.setattr(home.store, "get", get_counted)
    return reads


def test_one_process_reads_the_line_once_for_many_starts(home: Installation, peak: Peak, reads: Counter[str]) -> None:
    limit(home, "a", 1)
    tasks = submitted(home, 20, ["a"], seconds=0)
    for _ in range(2):
        home.work()

    assert peak.order == list(range(20))
    assert reads["in_line"] < 10
    assert reads["get"] < 10
    assert set(statuses(home, tasks)) == {Status.COMPLETED}


def standing_in_line(store: UnreliableStore, count: int) -> list[Task]:
    tasks = [a_task(line=limit_line("a")) for _ in range(count)]
    store.put(tasks)
    return sorted(tasks, key=lambda task: task.id)


def take(found: Iterator[Task], count: int) -> list[str]:
    return [next(found).id for _ in range(count)]


def test_each_task_is_given_once_and_in_order(home: Installation) -> None:
    tasks = standing_in_line(home.store, 6)
    standing = Standing(store=home.store)

    given = take(standing.first("a", 2), 2) + take(standing.first("a", 1), 1) + take(standing.first("a", 3), 3)

    assert given == [task.id for task in tasks]


def test_who_found_no_room_is_the_first_again(home: Installation) -> None:
    tasks = standing_in_line(home.store, 3)
    standing = Standing(store=home.store)
    assert take(standing.first("a", 1), 1) == [tasks[0].id]

    standing.forget("a")

    assert take(standing.first("a", 1), 1) == [tasks[0].id]


def test_where_others_take_them_too_the_records_are_read_before_each_start(
    home: Installation, reads: Counter[str]
) -> None:
    tasks = standing_in_line(home.store, 5)
    standing = Standing(store=home.store)
    take(standing.first("a", 1), 1)
    standing.taken("a")
    reads.clear()
    for task in tasks[:3]:
        home.store.save([a_change(task, line=None)])

    assert take(standing.first("a", 1), 1) == [tasks[3].id]
    assert take(standing.first("a", 1), 1) == [tasks[4].id]
    assert reads == {"get": 2}, "the line itself is asked once a second"


def test_what_was_read_is_not_used_for_long(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    (low,) = standing_in_line(home.store, 1)
    standing = Standing(store=home.store)
    found = standing.first("a", 1)
    monkeypatch.setattr("tasklane.standing.FRESH_SECONDS", 0)
    high = a_task(line=limit_line("a"), priority=5)
    home.store.put([high])

    assert take(standing.first("a", 1), 1) == [high.id]
    assert take(found, 1)[0] in (low.id, high.id)


def test_an_index_that_shows_only_who_has_moved_on_is_asked_for_more(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = standing_in_line(home.store, 60)
    shown = home.store.in_line(limit_line("a"), 60)
    for task in tasks[:59]:
        home.store.save([a_change(task, line=None)])
    monkeypatch.setattr(home.store, "in_line", lambda line, limit: shown[:limit])

    assert [task.id for task in Standing(store=home.store).first("a", 1)] == [tasks[59].id]


def test_who_joined_lately_is_found_before_the_index_shows_it(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = standing_in_line(home.store, 8)
    monkeypatch.setattr(home.store, "in_line", lambda line, limit: [])
    standing = Standing(store=home.store)

    full = take(standing.first("a", 1, [task.id for task in tasks]), 1)
    standing.forget("a")  # there was no room for it
    later = take(standing.first("a", 6), 6) + take(standing.first("a", 6), 2)

    assert full == [tasks[0].id]
    assert sorted(later) == [task.id for task in tasks]
    assert list(standing.first("a", 1)) == []


def test_who_joined_long_ago_is_left_to_the_index(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = standing_in_line(home.store, 1)
    monkeypatch.setattr(home.store, "in_line", lambda line, limit: [])
    monkeypatch.setattr("tasklane.standing.RECALL_SECONDS", 0)
    standing = Standing(store=home.store)
    take(standing.first("a", 1, [task.id]), 1)
    standing.forget("a")

    assert list(standing.first("a", 1)) == []


def another_process(home: Installation) -> Installation:
    """The same installation, with a worker that knows nothing of the first one."""
    ports = ("clock", "store", "queue", "callback_queue", "control", "blobs", "http", "mailer")
    given = {name: getattr(home.services, name) for name in ports}
    return replace(home, services=Services(SETTINGS, registry=home.registry, **given))


def test_two_processes_start_each_task_once_and_keep_to_the_limit(home: Installation, peak: Peak) -> None:
    limit(home, "a", 2)
    tasks = submitted(home, 20, ["a"])
    other = another_process(home)

    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda process: process.work(), (home, other)))
    for _ in range(3):
        home.sweep()
        home.work()
    other.close()

    assert peak.most <= 2
    assert sorted(peak.order) == list(range(20))
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert in_use(home, "a") == 0


def test_lines_of_many_keys_are_not_remembered_for_ever(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasklane.standing.MAX_KEYS", 3)
    standing = Standing(store=home.store)

    for number in range(10):
        assert list(standing.first(f"key-{number}", 1)) == []

    assert len(standing._known) <= 3
