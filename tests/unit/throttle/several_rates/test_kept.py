"""Several rates on one task: each is kept, and who waits for one keeps nobody waiting who does not name it."""

import pytest

from tasklane.limiter import REMEMBER_MS
from tasklane.line import rate_line
from tasklane.task import Status, Task
from tasklane.throttle import LEAD_MS, Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import work_off
from tests.unit.throttle.several_rates.conftest import (
    FIVE,
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


def test_each_of_several_rates_is_kept_and_what_one_leaves_is_used(
    home: Installation, starts: list[tuple[int, Task]]
) -> None:
    put(home, cluster=TEN, a=FIVE, b=FIVE)
    tasks = submitted(home, 100, "cluster", "a") + submitted(home, 100, "cluster", "b")

    worked_off(home, tasks, within_seconds=200 / 10 * 1.05 + 2)

    found = {key: most_in_a_period(times_of(starts, key), rate) for key, rate in (("cluster", TEN), ("a", FIVE))}
    assert found == {"cluster": 10, "a": 5}
    assert most_in_a_period(times_of(starts, "b"), FIVE) == 5


def test_who_waits_for_a_slow_key_keeps_nobody_waiting_who_does_not_name_it(
    home: Installation, starts: list[tuple[int, Task]]
) -> None:
    put(home, cluster=TEN, slow=SLOW)
    submitted(home, 50, "cluster", "slow")
    work_off(home)

    others = submitted(home, 20, "cluster")
    worked_off(home, others, within_seconds=3)

    assert most_in_a_period(times_of(starts, "cluster"), TEN) <= 10


def test_it_costs_one_write_each(home: Installation) -> None:
    put(home, cluster=TEN, a=FIVE)
    tasks = submitted(home, 200, "cluster", "a")
    home.store.saved.clear()

    work_off(home)

    waiting = [task for task in tasks if home.task(task).status is Status.PENDING]
    put_off = [change for some in home.store.saved for change in some if change.after.reserved_at is not None]
    assert len(put_off) == len(waiting) > 150


def test_a_higher_rate_moves_up_who_waits_for_it(home: Installation) -> None:
    put(home, cluster=TEN, slow=SLOW)
    tasks = submitted(home, 20, "cluster", "slow")
    work_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    waiting = [task for task in tasks if home.task(task).status is Status.PENDING]
    assert {home.task(task).line for task in waiting} == {rate_line("slow")}

    put(home, slow=Rate(count=1, period_ms=10_000))

    moved = slots(home, waiting)
    assert [later - moved[0] for later in moved] == [n * 10_500 for n in range(len(moved))]


def test_a_higher_rate_of_another_key_leaves_everybody_his_slot(home: Installation) -> None:
    put(home, cluster=TEN, slow=SLOW)
    waiting = submitted(home, 20, "cluster", "slow")[1:]
    work_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    before = slots(home, waiting)

    put(home, cluster=Rate(count=20, period_ms=1000))

    assert slots(home, waiting) == before


def test_by_a_rate_that_ends_the_other_one_goes_on_to_count(home: Installation) -> None:
    """The slots by the fast one that were in use for it are still reserved: nobody needs to go to their end."""
    put(home, cluster=TEN, slow=SLOW)
    waiting = submitted(home, 20, "cluster", "slow")[1:]
    work_off(home)
    home.clock.advance(REMEMBER_MS / 1000)

    home.services.limits.remove("slow", lambda: False)

    assert max(slots(home, waiting)) <= home.clock.now() + 20 * 105 + 2000
    assert {home.task(task).line for task in waiting} == {rate_line("cluster")}


def test_who_misses_a_fast_rate_is_not_put_behind_all_others_of_a_slow_one(
    home: Installation, starts: list[tuple[int, Task]]
) -> None:
    put(home, cluster=TEN, slow=SLOW)
    tasks = submitted(home, 20, "cluster", "slow")
    work_off(home)
    first = min((task for task in tasks if home.task(task).reserved_at), key=lambda task: slots(home, [task])[0])
    home.clock.advance((slots(home, [first])[0] + 5000 - home.clock.now()) / 1000)
    starts.clear()

    work_off(home)

    assert [(at - home.clock.now(), task.id) for at, task in starts] == [(LEAD_MS, first.id)]


def test_a_slot_by_a_new_rate_is_not_taken_for_one_by_another_rate_that_is_new_too(
    home: Installation, starts: list[tuple[int, Task]]
) -> None:
    """It looks as if it had been reserved some seconds later, and a worker has not yet heard of the other one."""
    submitted(home, 1, "cluster")
    work_off(home)
    home.clock.advance(2)
    submitted(home, 1, "slow")
    work_off(home)
    put(home, slow=SLOW)
    home.clock.advance(0.5)
    put(home, cluster=TEN)
    home.clock.advance(REMEMBER_MS / 1000 - 2)

    starts.clear()
    tasks = submitted(home, 50, "cluster", "slow")
    for _ in range(100):
        work_off(home)
        home.clock.advance(0.1)

    assert [task.id for _, task in starts] == [tasks[0].id]


def test_who_misses_it_again_and_again_keeps_his_slot_only_for_as_long_as_a_start_may_be_late(
    home: Installation, starts: list[tuple[int, Task]]
) -> None:
    put(home, cluster=TEN, slow=SLOW)
    tasks = submitted(home, 6, "cluster", "slow")
    work_off(home)
    task = min((one for one in tasks if home.task(one).reserved_at), key=lambda one: slots(home, [one])[0])
    first, last = slots(home, [task])[0], max(slots(home, tasks))
    seen = []
    for _ in range(3):
        home.clock.advance((slots(home, [task])[0] + 5000 - home.clock.now()) / 1000)
        home.control.reserve(home.services.limits.get("cluster").limit, home.clock.now(), 200)  # it is 21 s behind
        work_off(home)
        seen.append((home.task(task).reserved_first, slots(home, [task])[0]))

    assert [kept for kept, _ in seen] == [first, first, None]
    assert first < seen[0][1] < seen[1][1] <= first + SLOW.tolerance_ms
    assert seen[2][1] > last


def test_cancelled_tasks_leave_gaps_by_all_their_rates(home: Installation) -> None:
    put(home, cluster=TEN, a=FIVE)
    waiting = submitted(home, 50, "cluster", "a")[20:]
    work_off(home)

    for task in waiting:
        home.services.manage.cancel(task.id)

    assert [home.services.limits.get(key).given_up for key in ("cluster", "a")] == [30, 30]
