"""Time slots that nobody will use: who waits behind them moves up, and the rate is kept all the same."""

import itertools
from typing import Any

import pytest

from tasklane.errors import Unavailable
from tasklane.limiter import REMEMBER_MS
from tasklane.line import rate_line
from tasklane.task import Status, Task
from tasklane.throttle import HOLD_MS, KEPT_MS, Limit, LimitState, Rate
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.unit.throttle.conftest import work_off

RATE = Rate(count=10, period_ms=1000)
INTERVAL_MS = 105


pytestmark = pytest.mark.usefixtures("work_of_no_time", "starts")


def put_off(home: Installation, count: int, rate: Rate = RATE, **fields: Any) -> list[Task]:
    """Tasks with time slots, in their order; those that began at once are not among them."""
    home.services.limits.put("a", max_concurrent=None, rate=rate)
    tasks = [home.submit("work", {}, throttle_keys=("a",), **fields) for _ in range(count)]
    work_off(home)
    home.clock.advance(0.001)
    waiting = [task for one in tasks if (task := home.task(one)).status is Status.PENDING]
    return sorted(waiting, key=lambda task: task.reserved_at or 0)


def slots(home: Installation, tasks: list[Task]) -> list[int]:
    return [home.task(task).reserved_at or 0 for task in tasks]


def state(home: Installation) -> LimitState:
    return home.services.limits.get("a")


def test_who_waits_behind_cancelled_tasks_moves_up_in_the_same_order(home: Installation) -> None:
    tasks = put_off(home, 1500)
    called_off, rest = tasks[200:1300], [*tasks[:200], *tasks[1300:]]
    before = slots(home, rest)
    for task in called_off:
        home.services.manage.cancel(task.id)
    assert state(home).given_up == len(called_off)

    home.sweep()

    kept_until = state(home).limit.kept_until
    assert kept_until == home.clock.now() + KEPT_MS
    near = sum(at <= kept_until for at in before)
    assert slots(home, rest)[:near] == before[:near], "a worker may hold these in its hands"
    moved = slots(home, rest)[near:]
    assert moved == [kept_until + (n + 1) * INTERVAL_MS for n in range(len(moved))], "one after the other, in order"
    assert (state(home).given_up, state(home).reserved_until) == (0, moved[-1] + INTERVAL_MS)
    assert home.store.in_line(rate_line("a"), 2000) == [task.id for task in rest]


def test_they_start_by_their_new_slots_and_never_faster_than_the_rate(home: Installation, starts: list[int]) -> None:
    tasks = put_off(home, 1000)
    began_at = home.clock.now()
    for task in tasks[:800]:
        home.services.manage.cancel(task.id)
    rest = tasks[800:]
    home.sweep()

    while not all(home.task(one).status.final for one in rest):
        home.clock.advance(1)
        work_off(home)
        assert home.clock.now() < began_at + 40_000, "by their old slots the first begins after 84 s"

    assert all(later - sooner >= 1000 / RATE.count for sooner, later in itertools.pairwise(sorted(starts)))
    assert len(starts) == 1000 - 800


def test_slots_by_a_higher_rate_stay_void(home: Installation, starts: list[int]) -> None:
    """With a lower rate who has a slot keeps it until it comes; that others move up does not make it hold again."""
    tasks = put_off(home, 1500)
    home.clock.advance(REMEMBER_MS / 1000)
    home.services.limits.put("a", max_concurrent=None, rate=Rate(count=1, period_ms=1000))
    home.control.reserve(state(home).limit, home.clock.now(), 500)
    home.control.give_up("a", 400)
    home.control.note_waiting("a", home.clock.now() + 60_000)
    starts.clear()

    home.sweep()
    assert state(home).limit.kept_until, "somebody was let move up"
    for _ in range(30):
        home.clock.advance(1)
        work_off(home)

    assert all(later - sooner >= 1000 for sooner, later in itertools.pairwise(sorted(starts)))
    assert len(tasks) > 1000


def test_a_new_task_does_not_wait_behind_tasks_that_are_gone(home: Installation) -> None:
    for task in put_off(home, 3000):
        home.services.manage.cancel(task.id)
    home.sweep()

    task = home.submit("work", {}, throttle_keys=("a",))
    home.work()

    assert (home.task(task).reserved_at or 0) <= home.clock.now() + KEPT_MS + INTERVAL_MS


def test_rescheduled_and_expired_tasks_leave_their_slots_to_others_too(home: Installation) -> None:
    tasks = put_off(home, 1000)
    for task in tasks[:400]:
        home.services.manage.reschedule(task.id, run_at=home.clock.now() + 3_600_000)
    assert state(home).given_up == 400

    home.services.limits.remove("a", lambda: False)
    late = put_off(home, 800, expires_at=home.clock.now() + 20_000)
    assert state(home).given_up == 0, "of the limit before"
    home.clock.advance(21)
    home.sweep()

    gone = [task for task in late if home.task(task).status is Status.EXPIRED]
    assert len(gone) > 500
    assert state(home).given_up in (0, len(gone)), "closed by the same sweep, or counted"


def test_a_few_gaps_cost_nobody_a_write(home: Installation) -> None:
    tasks = put_off(home, 1500)
    for task in tasks[::20]:
        home.services.manage.cancel(task.id)
    left = [task for n, task in enumerate(tasks) if n % 20]
    before = slots(home, left)
    home.store.saved.clear()

    home.sweep()

    assert slots(home, left) == before
    assert not home.store.saved


def test_a_slot_that_is_over_leaves_no_gap(home: Installation) -> None:
    """Who has missed his slot and is called off has not kept anybody waiting."""
    (task,) = put_off(home, 2, Rate(count=1, period_ms=10_000))
    home.clock.advance(((task.reserved_at or 0) + 1 - home.clock.now()) / 1000)

    home.services.manage.cancel(task.id)

    assert state(home).given_up == 0


def test_a_gap_that_cannot_be_noted_does_not_keep_a_task_from_being_cancelled(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(key: str, count: int) -> None:
        raise Unavailable("throttled")

    (task, *_) = put_off(home, 100)
    monkeypatch.setattr(home.control, "give_up", unavailable)

    assert home.services.manage.cancel(task.id).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("ahead_seconds", "given_up", "has"),
    [
        pytest.param(1000, 1000, True, id="a tenth of what is reserved"),
        pytest.param(1000, 900, False, id="less than a tenth"),
        pytest.param(100, 290, True, id="half a minute"),
        pytest.param(100, 280, False, id="less than half a minute"),
        pytest.param(30, 290, False, id="nothing that is reserved is far off"),
        pytest.param(-5, 290, False, id="nothing is reserved"),
    ],
)
def test_gaps_are_worth_closing_from_a_tenth_and_half_a_minute(ahead_seconds: int, given_up: int, has: object) -> None:
    limit = Limit(key="a", rate=RATE)
    state = LimitState(limit=limit, in_use=0, reserved_until=NOW + ahead_seconds * 1000, given_up=given_up)

    assert state.has_gaps(NOW) is has
    assert not LimitState(limit=Limit(key="a", max_concurrent=1), in_use=0, given_up=999).has_gaps(NOW)


def test_slots_are_kept_for_longer_than_a_worker_uses_what_it_knows() -> None:
    assert KEPT_MS > REMEMBER_MS + HOLD_MS
