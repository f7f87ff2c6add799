"""Who moves up into given-up time slots where a rate is high, clocks differ, or two rates hold for a task."""

from collections.abc import Sequence

import pytest

from tasklane.task import Status, Task
from tasklane.throttle import CLOCKS_APART_MS, Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import work_off

RATE = Rate(count=10, period_ms=1000)
HIGH = Rate(count=50, period_ms=1000)

pytestmark = pytest.mark.usefixtures("work_of_no_time", "starts")


def put(home: Installation, key: str, rate: Rate) -> None:
    home.services.limits.put(key, max_concurrent=None, rate=rate)


def put_off(home: Installation, count: int, keys: Sequence[str] = ("a",)) -> list[Task]:
    """Tasks with time slots, in their order; those that began at once are not among them."""
    tasks = [home.submit("work", {}, throttle_keys=keys) for _ in range(count)]
    work_off(home)
    waiting = [task for one in tasks if (task := home.task(one)).status is Status.PENDING]
    return sorted(waiting, key=lambda task: task.reserved_at or 0)


def called_off(home: Installation, tasks: Sequence[Task]) -> None:
    for task in tasks:
        home.services.manage.cancel(task.id)


def slots(home: Installation, tasks: Sequence[Task]) -> list[int]:
    """Of those that have not begun."""
    return [at for task in tasks if (at := home.task(task).reserved_at) is not None]


def most_in_a_second(times: Sequence[int]) -> int:
    return max(sum(first <= at < first + 1000 for at in times) for first in times)


def test_more_kept_slots_than_are_looked_at_at_once_keep_nobody_behind_them(home: Installation) -> None:
    put(home, "a", HIGH)
    tasks = put_off(home, 4000)
    called_off(home, tasks[1000:3000])
    last = tasks[-1].reserved_at or 0

    home.sweep()

    rest = slots(home, [*tasks[:1000], *tasks[3000:]])
    assert rest == sorted(rest), "in the order in which they came"
    assert rest[-1] < last - 30_000
    (newcomer,) = put_off(home, 1)
    assert (newcomer.reserved_at or 0) > rest[-1], "first come, first served"


@pytest.mark.parametrize("behind_seconds", [0, 0.5, 2])
def test_a_sweeper_whose_clock_is_behind_makes_all_later_slots_void(home: Installation, behind_seconds: float) -> None:
    """Slots that look newer than the rate would hold, and the same times would be given once more."""
    put(home, "a", RATE)
    home.clock.advance(60)
    tasks = put_off(home, 900)
    called_off(home, tasks[100:500])

    home.clock.advance(-behind_seconds)
    home.sweep()
    home.clock.advance(behind_seconds + CLOCKS_APART_MS / 1000)
    late = put_off(home, 300)

    assert most_in_a_second(slots(home, [*tasks, *late])) <= RATE.count


@pytest.mark.parametrize("behind_seconds", [0, 2])
def test_another_rate_by_a_clock_that_is_behind_makes_older_slots_void(
    home: Installation, behind_seconds: float
) -> None:
    put(home, "a", RATE)
    home.clock.advance(60)
    tasks = put_off(home, 300)

    home.clock.advance(-behind_seconds)
    put(home, "a", HIGH)

    limit = home.services.limits.get("a").limit
    assert not any(limit.honours(task.reserved_at or 0, task.reserved_on or 0) for task in tasks)
    assert slots(home, tasks)[-1] < (tasks[-1].reserved_at or 0) - 10_000


def test_who_waits_for_two_rates_moves_up_too(home: Installation) -> None:
    """The slot that is void says nothing about the other rate: kept for it, nobody would start any sooner."""
    put(home, "a", RATE)
    put(home, "b", HIGH)
    tasks = put_off(home, 900, ("a", "b"))
    called_off(home, tasks[100:500])
    last = tasks[-1].reserved_at or 0

    home.sweep()
    late = put_off(home, 300)

    rest = slots(home, tasks)
    assert max(rest) < last - 20_000
    assert most_in_a_second([*rest, *slots(home, late)]) <= RATE.count


def test_who_waits_for_two_rates_is_not_put_off_by_the_other(home: Installation) -> None:
    """Others have taken what was free of it: nobody moves up into their time, and nobody is put behind them.

    But for one: the slots that are kept may end right before his, by less than an interval.
    """
    put(home, "a", RATE)
    put(home, "b", HIGH)
    tasks = put_off(home, 600, ("a", "b"))
    called_off(home, tasks[100:400])
    others = put_off(home, 2600, ("b",))
    before = slots(home, tasks)

    home.sweep()

    after = slots(home, tasks)
    assert sum(one != other for one, other in zip(before, after, strict=True)) <= 1
    assert most_in_a_second([*after, *slots(home, others)]) <= HIGH.count
    assert most_in_a_second(after) <= RATE.count


def test_who_expires_where_a_queue_hands_him_on_leaves_his_slot_to_others(home: Installation) -> None:
    """A queue's longest delay is a quarter of an hour, and many an expiry: the message comes before the sweeper."""
    put(home, "a", Rate(count=1, period_ms=120_000))
    expires_at = home.clock.now() + 890_000
    tasks = [home.submit("work", {}, throttle_keys=("a",), expires_at=expires_at) for _ in range(20)]
    work_off(home)
    far = [task for one in tasks if ((task := home.task(one)).reserved_at or 0) > home.clock.now() + 901_000]

    home.clock.advance(901)
    work_off(home)

    assert {home.task(task).status for task in far} == {Status.EXPIRED}
    assert home.services.limits.get("a").given_up == len(far) > 10
