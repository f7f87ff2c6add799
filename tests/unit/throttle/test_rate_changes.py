"""Another rate: who has a time slot by the old one gets another, soon where it can be earlier."""

from collections.abc import Callable, Mapping

import pytest

from tasklane.errors import Unavailable
from tasklane.limiter import REMEMBER_MS
from tasklane.line import lane_target, rate_line
from tasklane.lines import Lines
from tasklane.message import TaskMessage
from tasklane.task import Status, Task
from tasklane.throttle import Limit, Rate, TimeSlot
from tests.support.installation import Installation
from tests.support.limits import set_limit
from tests.support.waiting import never

SLOW = Rate(count=1, period_ms=3_600_000)
FAST = Rate(count=1000, period_ms=1000)

pytestmark = pytest.mark.usefixtures("work_of_no_time")


def put(home: Installation, rate: Rate | None, most: int | None = None, enough: Callable[[], bool] = never) -> None:
    home.services.limits.put("a", max_concurrent=most, rate=rate, enough=enough)


def put_off(home: Installation, count: int = 5, keys: tuple[str, ...] = ("a",)) -> list[Task]:
    """Tasks with time slots by a slow rate, the first of which is over."""
    tasks = [home.submit("work", {}, throttle_keys=keys) for _ in range(count + 1)]
    home.work()
    ended = [home.task(task).status for task in tasks].count(Status.COMPLETED)
    assert ended == 1
    return [home.task(task) for task in tasks if home.task(task).status is Status.PENDING]


def statuses(home: Installation, tasks: list[Task]) -> set[Status]:
    return {home.task(task).status for task in tasks}


def test_who_has_a_time_slot_says_by_which_key(home: Installation) -> None:
    put(home, SLOW)
    home.services.limits.put("b", max_concurrent=None, rate=FAST)

    tasks = put_off(home, keys=("a", "b"))

    assert {task.line for task in tasks} == {"rate:a"}
    by_slot = sorted(tasks, key=lambda task: task.run_at or 0)
    assert home.store.in_line(rate_line("a"), 10) == [task.id for task in by_slot]


def test_a_higher_rate_holds_for_those_that_have_slots_already(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)

    put(home, FAST)
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_no_rate_lets_everybody_go(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)

    put(home, None, most=2)
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_no_limit_lets_everybody_go(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)

    home.services.limits.remove("a", never)
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}
    assert home.store.in_line(rate_line("a"), 10) == []


def test_slots_by_a_rate_that_somebody_with_a_fast_clock_has_set_hold(home: Installation) -> None:
    """By the worker's clock they were reserved before that rate was set: void, they would be given anew, later ones."""
    set_limit(home.control, Limit(key="a", rate=SLOW, since=home.clock.now() + 2000))
    (task,) = put_off(home, count=1)

    home.clock.advance(((task.reserved_at or 0) - home.clock.now()) / 1000)
    home.work()

    assert statuses(home, [task]) == {Status.COMPLETED}


def test_a_lower_rate_sends_nobody_to_and_fro(home: Installation) -> None:
    put(home, Rate(count=1, period_ms=60_000))
    tasks = put_off(home)
    sent = len(home.lanes.sent)

    put(home, SLOW)

    assert len(home.lanes.sent) == sent
    assert {home.task(task).line for task in tasks} == {"rate:a"}


def test_the_sweeper_goes_on_where_there_was_no_time(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    put(home, FAST, enough=lambda: True)
    assert {home.task(task).line for task in tasks} == {"rate:a"}

    home.sweep()
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_the_sweeper_finds_who_was_put_off_by_the_old_rate_after_the_new_one_was_set(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, SLOW)
    put_off_now = Lines.put_off

    def too_late(
        lines: Lines, slots: Mapping[TaskMessage, TimeSlot], tasks: Mapping[str, Task]
    ) -> frozenset[TaskMessage]:
        home.clock.advance(0.01)
        put(home, FAST)
        home.clock.advance(0.01)
        return put_off_now(lines, slots, tasks)

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "put_off", too_late)
        tasks = put_off(home)
    assert {task.line for task in tasks} == {"rate:a"}

    home.clock.advance(60)
    home.sweep()
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_slots_by_the_new_rate_are_left_alone(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    put(home, Rate(count=1, period_ms=60_000))
    home.work()
    tasks = [home.task(task) for task in tasks if home.task(task).status is Status.PENDING]
    slots = [home.task(task).run_at for task in tasks]

    for _ in range(3):
        home.clock.advance(1)
        home.sweep()
        home.work()

    assert [home.task(task).run_at for task in tasks] == slots
    assert all(slot is not None for slot in slots)


def test_what_is_looked_for_in_vain_is_forgotten(home: Installation) -> None:
    put(home, SLOW)
    put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    put(home, FAST)
    home.work()
    assert set(home.control.waited_for()) == {"a"}

    for _ in range(10):
        home.clock.advance(60)
        home.sweep()

    assert home.control.waited_for() == {}


def test_a_message_by_the_old_slot_that_comes_after_all_starts_nothing_twice(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    put(home, FAST)
    home.work()
    attempts = {home.task(task).attempt for task in tasks}

    home.clock.advance(6 * 3600)
    report = home.work()

    assert attempts == {1} == {home.task(task).attempt for task in tasks}
    assert report.outcomes == ()


def test_a_paused_task_with_a_time_slot_stands_in_the_line_of_the_pause(home: Installation) -> None:
    put(home, Rate(count=1, period_ms=60_000))
    tasks = put_off(home, 1)
    home.services.pause.pause(lane_target(3))
    home.clock.advance(63)
    home.work()
    assert {home.task(task).line for task in tasks} == {"pause:lane:3"}

    home.services.pause.resume(lane_target(3), never)
    home.clock.advance(6)
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_one_with_a_time_slot_whose_message_is_lost_is_sent_again(home: Installation) -> None:
    put(home, Rate(count=1, period_ms=60_000))
    (task,) = put_off(home, 1)
    home.clock.advance(63)
    home.queues.acknowledge(3, [one.handle for one in home.queues.receive(3, 10, 0)])
    assert home.queues.depth(3) == 0

    home.clock.advance(200)
    home.sweep()
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_what_the_table_would_not_tell_is_done_by_the_sweeper(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)
    home.store.refuse("get")

    with pytest.raises(Unavailable):
        put(home, FAST)
    home.sweep()
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}


def test_another_priority_does_not_make_the_time_slot_the_tasks_own_time(home: Installation) -> None:
    put(home, SLOW)
    (task,) = put_off(home, 1)

    after = home.services.manage.reschedule(task.id, priority=5)

    assert (after.status, after.run_at, after.line) == (Status.PENDING, None, None)
    home.work(lane=5)
    assert home.task(task).line == "rate:a"
    assert (home.task(task).run_at or 0) > home.clock.now()


def test_whom_a_removal_had_no_time_for_the_sweeper_lets_go(home: Installation) -> None:
    put(home, SLOW)
    tasks = put_off(home)
    home.clock.advance(REMEMBER_MS / 1000)

    home.services.limits.remove("a", lambda: True)
    home.sweep()
    home.work()

    assert statuses(home, tasks) == {Status.COMPLETED}
