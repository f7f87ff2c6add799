"""More slots than a timetable keeps: who comes then waits in line, and keeps nobody else waiting."""

import pytest

from tasklane import timetable
from tasklane.line import lane_target, limit_line, rate_line
from tasklane.task import Status, Task
from tasklane.throttle import Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import limit, told_of, work_off
from tests.unit.throttle.several_rates.conftest import (
    SLOW,
    TEN,
    most_in_a_period,
    put,
    slots,
    submitted,
    times_of,
    worked_off,
)

pytestmark = pytest.mark.usefixtures("work_of_no_time", "starts")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(timetable, "MAX_RANGES", 10)
    monkeypatch.setattr(timetable, "NEAR_US", 0)
    return 10


def test_who_finds_a_timetable_full_waits_in_line_and_gets_his_slot_in_order(
    home: Installation, starts: list[tuple[int, Task]], small: int
) -> None:
    put(home, cluster=TEN, slow=Rate(count=1, period_ms=10_000))
    tasks = submitted(home, 30, "cluster", "slow")
    work_off(home)
    assert len(home.store.in_line(limit_line("slow"), 100)) == 30 - 1 - small

    worked_off(home, tasks, within_seconds=30 * 10.5 + 60)

    assert [task.id for _, task in starts] == [task.id for task in tasks]
    assert most_in_a_period(times_of(starts, "slow"), Rate(count=1, period_ms=10_000)) == 1


def test_who_comes_later_stands_behind_them(home: Installation, small: int) -> None:
    put(home, cluster=TEN, slow=Rate(count=1, period_ms=10_000))
    tasks = submitted(home, 15, "cluster", "slow")
    for _ in range(30):
        work_off(home)
        home.clock.advance(1)
    standing = home.store.in_line(limit_line("slow"), 100)
    assert standing == [task.id for task in tasks[1 + small :]]

    (late,) = submitted(home, 1, "cluster", "slow")
    (alone,) = submitted(home, 1, "cluster")
    work_off(home)

    assert home.task(alone).status is Status.COMPLETED, "one rate needs no room"
    assert home.store.in_line(limit_line("slow"), 100) == [*standing[2:], late.id], "two ranges are over"
    assert all(slots(home, tasks[11:13])), "who comes asks for those who stand before him"


def test_who_was_held_back_waits_there_too_and_nobody_is_told_of_it(home: Installation, small: int) -> None:
    put(home, cluster=TEN, slow=Rate(count=1, period_ms=10_000))
    home.services.pause.pause(lane_target(3))
    tasks = submitted(home, 30, "cluster", "slow")
    work_off(home)

    home.services.pause.resume(lane_target(3), lambda: False)

    assert home.store.in_line(limit_line("slow"), 100) == [task.id for task in tasks[1 + small :]]
    assert told_of(home, "slow") == []


def test_who_waits_for_room_in_a_timetable_does_not_go_from_line_to_line(home: Installation, small: int) -> None:
    """The other key limits how many run at once, too: called from its line, they would find it still full."""
    limit(home, "cluster", 5, TEN)
    put(home, slow=SLOW)
    tasks = submitted(home, 40, "cluster", "slow")
    for _ in range(3):
        work_off(home)
        home.clock.advance(1)
    assert home.store.in_line(limit_line("slow"), 100) == [task.id for task in tasks[1 + small :]]
    home.store.saved.clear()

    for _ in range(3):
        home.clock.advance(60)
        home.sweep()
        work_off(home)

    changes = [change for some in home.store.saved for change in some if change.after.status.waiting]
    moved = [change.after.line for change in changes if change.after.line != change.before.line]
    assert moved == [rate_line("slow")] * len(moved)
    assert 2 <= len(moved) <= 3


def test_who_has_a_backlog_for_days_keeps_nobody_else_waiting(
    home: Installation, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has taken all room that there is for slots which are far off: others have near ones."""
    monkeypatch.setattr(timetable, "NEAR_US", 60_000_000)
    put(home, cluster=TEN, slow=SLOW, other=Rate(count=1, period_ms=2000))
    submitted(home, 30, "cluster", "slow")
    work_off(home)

    others = submitted(home, small, "cluster", "other")

    worked_off(home, others, within_seconds=2.1 * small + 2)
