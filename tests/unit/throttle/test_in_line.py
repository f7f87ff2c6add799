"""Who finds no room stands in line: in which order, at what price, and who ends it."""

from typing import Any

import pytest

from tasklane.errors import Unavailable
from tasklane.line import limit_line
from tasklane.task import Status
from tasklane.throttle import Limit
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.support.limits import set_limit
from tests.unit.throttle.conftest import Peak, in_use, limit, statuses, submitted, told_of


def test_who_came_first_goes_first_within_a_priority(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    low = submitted(home, 2, ["a"], priority=2)
    high = submitted(home, 2, ["a"], priority=4)
    home.work(lane=2)
    home.work(lane=4)

    assert home.store.in_line("limit:a", 10) == [task.id for task in (*high, *low)]


def test_a_newcomer_does_not_overtake_who_waits(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    first = submitted(home, 3, ["a"])
    home.work()
    set_limit(home.control, Limit(key="a", max_concurrent=1, since=NOW))
    late = submitted(home, 1, ["a"])

    home.work()

    assert [home.task(task).status for task in (*first, *late)] == [Status.COMPLETED] * 4
    starts = [home.task(task).finished_at or 0 for task in (*first, *late)]
    assert starts == sorted(starts)


def test_who_waits_costs_few_looks_and_no_attempts(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 10, ["a"])
    home.work()
    home.store.saved.clear()
    sent = len(home.lanes.sent)

    for _ in range(24 * 60):
        home.clock.advance(60)
        home.sweep()

    assert sum(len(changes) for changes in home.store.saved) <= 10 * 10
    assert len(home.lanes.sent) == sent
    assert {home.task(task).attempt for task in tasks} == {0}


def test_the_sweeper_wakes_whom_nobody_woke(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 4, ["a"])
    home.work()
    set_limit(home.control, Limit(key="a", max_concurrent=2, since=NOW))

    home.sweep()
    assert home.queues.depth(3) == 2
    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    home.clock.advance(600)
    home.sweep()
    assert home.control.waited_for() == {}


def test_a_line_that_could_not_be_looked_after_is_noted_all_the_same(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    submitted(home, 1, ["a"])
    home.work()

    for _ in range(10):
        home.clock.advance(60)
        home.sweep()

    assert list(home.control.waited_for()) == ["a"], "somebody waits"


def test_a_cancelled_task_leaves_its_line(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    home.work()
    home.services.manage.cancel(task.id)

    assert home.store.in_line(limit_line("a"), 5) == []
    limit(home, "a", 1)
    assert home.queues.depth(3) == 0


def test_a_task_that_expires_in_line_is_not_run(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"], expires_at=home.clock.now() + 30_000)
    home.work()
    home.clock.advance(31)
    limit(home, "a", 1)
    home.work()

    assert home.task(task).status is Status.EXPIRED
    assert peak.order == []


def test_a_doubled_message_neither_starts_nor_doubles_who_waits(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    home.queues.send(3, home.lanes.sent[-1].to_json(), 0)
    home.work()
    home.work()

    assert home.task(task).line == "limit:a"
    limit(home, "a", 1)
    home.queues.send(3, home.lanes.sent[0].to_json(), 0)
    home.work()
    home.work()
    assert peak.order == [0]
    assert in_use(home, "a") == 0


def test_who_has_no_room_is_not_sent_to_and_fro(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    sent = len(home.lanes.sent)

    home.work(seconds=30.0)  # less than its time limit: another process would have to run it

    assert home.task(task).line == "limit:a"
    assert len(home.lanes.sent) == sent


@pytest.mark.parametrize("method", ["limits", "note_waiting", "in_line"])
def test_what_cannot_be_asked_comes_again(
    home: Installation, peak: Peak, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])

    def refuse(*_: Any) -> Any:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(home.store if method == "in_line" else home.control, method, refuse)
        assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).line == "limit:a"


def test_who_has_moved_on_does_not_keep_those_behind_from_being_woken(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index shows for a while who stood in line before: here it shows all of them all the time."""
    limit(home, "a", 0)
    tasks = submitted(home, 90, ["a"])
    while home.queues.depth(3):
        home.work()
    shown = home.store.in_line(limit_line("a"), 90)
    monkeypatch.setattr(home.store, "in_line", lambda line, most: shown[:most])

    for task in tasks[:70]:
        home.services.manage.cancel(task.id)

    limit(home, "a", 10)

    assert told_of(home, "a") == [task.id for task in tasks[70:80]]


def test_where_there_is_no_room_nobody_is_looked_for(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def noted(line: str, most: int) -> list[str]:
        looks.append(line)
        return []

    monkeypatch.setattr(home.store, "in_line", noted)

    limit(home, "a", 0)

    assert looks == []
