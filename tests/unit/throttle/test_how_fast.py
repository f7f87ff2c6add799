"""So many in a time: slots are given once, and used when they come."""

import time

import pytest

from tasklane.message import TaskMessage
from tasklane.ports import Claim
from tasklane.task import Status
from tasklane.throttle import LEAD_MS, Limit, Rate, is_valid
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.throttle.conftest import Peak, in_use, limit, statuses, submitted

# -- how fast ----------------------------------------------------------------------------------------------------------


def test_starts_are_spread_by_one_write_each(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=10_000))
    tasks = submitted(home, 5, ["a"])
    home.store.saved.clear()
    home.work()

    assert sum(len(changes) for changes in home.store.saved) == 4 + 1, "four are put off, one has ended"
    run_at = [home.task(task).run_at for task in tasks]
    assert run_at[0] is None
    assert [at and at - home.clock.now() - LEAD_MS for at in run_at[1:]] == [10_500, 21_000, 31_500, 42_000]
    assert statuses(home, tasks) == [Status.COMPLETED] + [Status.PENDING] * 4

    for _ in range(4):
        home.clock.advance(10.5)
        home.work()
    assert set(statuses(home, tasks)) == {Status.COMPLETED}


def test_a_near_slot_is_waited_for_in_the_worker(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    tasks = submitted(home, 5, ["a"])
    begun = time.monotonic()
    home.work()

    assert time.monotonic() - begun >= 4 * 0.105
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert home.queues.depth(3) == 0


def test_a_task_has_started_when_its_handler_does_and_not_when_its_worker_comes(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    tasks = submitted(home, 3, ["a"])
    home.work()

    started = sorted(home.task(task).started_at or 0 for task in tasks)
    assert [at - home.clock.now() - LEAD_MS for at in started] == [0, 105, 210]


def test_a_slot_that_was_missed_is_void(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=60_000))
    first, second = submitted(home, 2, ["a"])
    home.work()
    slot = home.task(second).run_at or 0
    home.clock.advance(300)
    (third,) = submitted(home, 1, ["a"])
    home.work()

    assert home.task(first).status is Status.COMPLETED
    assert slot < home.clock.now() - 60_000
    assert sorted([home.task(second).status, home.task(third).status]) == [Status.COMPLETED, Status.PENDING]


def test_a_new_rate_makes_old_slots_void(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=20_000))
    tasks = submitted(home, 3, ["a"])
    home.work()
    home.clock.advance(6)
    limit(home, "a", rate=Rate(count=1, period_ms=3_600_000))
    home.clock.advance(15)
    home.work()
    home.clock.advance(21)
    home.work()

    assert statuses(home, tasks).count(Status.COMPLETED) == 2, "the first, and one at the new rate"


def test_a_message_before_its_slot_by_more_than_it_can_wait_is_sent_again(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=60_000))
    _, task = submitted(home, 2, ["a"])
    home.work()
    home.queues.send(3, home.lanes.sent[-1].to_json(), 0)

    home.work()

    assert home.task(task).status is Status.PENDING
    assert peak.order == [0]


@pytest.mark.parametrize("early", [0.3, 0.9, 1.1, 1.9, 2.9])
def test_a_message_that_comes_early_waits_here_and_is_not_sent_to_and_fro(
    home: Installation, peak: Peak, early: float
) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=60_000))
    _, task = submitted(home, 2, ["a"])
    home.work()
    sent, begun = len(home.lanes.sent), time.monotonic()
    home.clock.advance(63 + LEAD_MS / 1000 - early)
    home.queues.send(3, home.lanes.sent[-1].to_json(), 0)

    home.work()

    assert home.task(task).status is Status.COMPLETED
    assert len(home.lanes.sent) == sent
    assert time.monotonic() - begun >= early - 0.05


def test_a_slot_far_off_waits_in_the_table(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=86_400_000))
    _, task = submitted(home, 2, ["a"])
    home.work()
    assert home.queues.depth(3) == 0

    home.clock.advance(86_400 * 1.05 - 300)
    home.sweep()
    home.clock.advance(300)
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_of_two_rates_the_later_slot_counts(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=10_000))
    limit(home, "b", rate=Rate(count=1, period_ms=100_000))
    _, task = submitted(home, 2, ["a", "b"])
    home.work()

    assert (home.task(task).run_at or 0) - home.clock.now() == 105_000 + LEAD_MS


def test_a_rate_and_a_number_hold_together(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1, rate=Rate(count=20, period_ms=1000))
    tasks = submitted(home, 6, ["a"], seconds=0.1)
    for _ in range(4):
        home.work()

    assert peak.most == 1
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert in_use(home, "a") == 0


@pytest.mark.parametrize("keys", [["a"], ["a", "b"]])
def test_who_waits_for_a_place_uses_up_no_time_slot(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    limit(home, keys[0], 2, rate=Rate(count=20, period_ms=1000) if keys == ["a"] else None)
    if keys != ["a"]:
        limit(home, "b", rate=Rate(count=20, period_ms=1000))
    reserve, reserved = home.control.reserve, list[int]()

    def counted(limit: Limit, now: int, count: int) -> list[int] | None:
        reserved.append(count)
        return reserve(limit, now, count)

    monkeypatch.setattr(home.control, "reserve", counted)
    tasks = submitted(home, 10, keys)
    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert peak.most <= 2
    assert sum(reserved) == 10


# -- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_ms", "valid"), [(-1000, True), (0, True), (50, True), (51, False), (5000, False)])
def test_a_slot_may_be_used_a_little_late(late_ms: int, valid: object) -> None:
    """Late is who cannot be claimed in time."""
    rated = Limit(key="a", rate=Rate(count=40, period_ms=1000), since=NOW)

    assert is_valid(NOW + 1000, NOW, [rated], NOW + 1000 - LEAD_MS + late_ms) is valid
    assert is_valid(NOW + 1000, NOW - 1, [rated], NOW) is False, "reserved before the rate was set"
    assert is_valid(None, None, [rated], NOW) is False
    assert is_valid(None, None, [Limit(key="a", max_concurrent=1)], NOW) is True


def test_a_start_that_was_announced_before_it_was_put_off_does_not_begin(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=600_000))
    tasks = submitted(home, 2, ["a"])
    claims = [Claim(message=TaskMessage.of(task), now=NOW, lease_id="slow", lease_until=NOW + 60_000) for task in tasks]
    home.work()
    waiting = [task for task in tasks if home.task(task).status is Status.PENDING]

    assert home.store.claim(claims) == [None, None], "its lease would be looked after when its slot comes"
    home.clock.advance(640)
    home.work()
    assert [(home.task(task).status, home.task(task).attempt) for task in waiting] == [(Status.COMPLETED, 1)]


def test_who_is_late_by_one_rate_keeps_the_slot_that_he_has_by_a_slower_one(home: Installation, peak: Peak) -> None:
    limit(home, "slow", rate=Rate(count=1, period_ms=600_000))
    limit(home, "fast", rate=Rate(count=10, period_ms=1_000))
    tasks = submitted(home, 2, ["fast", "slow"])
    home.work()
    assert statuses(home, tasks).count(Status.COMPLETED) == 1

    home.clock.advance(660)
    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
