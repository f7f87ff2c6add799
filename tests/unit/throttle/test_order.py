"""First come, first served per key and priority, however messages are delivered and whoever lets the tasks go."""

import random
from collections.abc import Sequence

import pytest

from tasklane.gate import REMEMBER_MS
from tasklane.line import type_target
from tasklane.task import Status, Task
from tasklane.throttle import LimitState, Rate
from tests.support.installation import Installation
from tests.support.waiting import never
from tests.unit.throttle.conftest import Peak, limit, submitted

ORDERS = pytest.mark.parametrize("order", ["reversed", 1, 2, 3])
TASKS = 30


def deal(home: Installation, order: str | int, lane: int = 3) -> None:
    """Let the messages of a lane come in this order: reversed, or shuffled with this seed."""
    waiting = home.queues._queues[lane].waiting
    if order == "reversed":
        waiting.reverse()
    else:
        random.Random(order).shuffle(waiting)


def work_through(home: Installation, order: str | int, *lanes: int) -> None:
    """Deliver everything, in this order as often as something new has been sent."""
    while any(home.queues.depth(lane) for lane in lanes):
        for lane in lanes:
            deal(home, order, lane)
            home.work(lane)


def hold_and_resume(home: Installation, *tasks: Sequence[Task]) -> None:
    """Resume tasks that were submitted while their type was paused."""
    while any(home.queues.depth(lane) for lane in range(1, 6)):
        for lane in range(1, 6):
            home.work(lane)
    assert {home.task(task).line for some in tasks for task in some} == {"pause:type:work"}
    home.clock.advance(REMEMBER_MS / 1000)
    home.services.pause.resume(type_target("work"), never)


@ORDERS
def test_resumed_tasks_of_a_key_start_in_their_order(home: Installation, peak: Peak, order: str | int) -> None:
    limit(home, "a", 1)
    home.services.pause.pause(type_target("work"))
    hold_and_resume(home, submitted(home, TASKS, ["a"]))

    work_through(home, order, 3)

    assert peak.order == list(range(TASKS))


@ORDERS
def test_those_of_two_priorities_start_in_theirs(home: Installation, peak: Peak, order: str | int) -> None:
    limit(home, "a", 1)
    home.services.pause.pause(type_target("work"))
    low = submitted(home, 10, ["a"], priority=2)
    high = submitted(home, 10, ["a"], priority=4)
    hold_and_resume(home, low, high)

    work_through(home, order, 2, 4)

    starts = {task.id: home.task(task).finished_at or 0 for task in (*low, *high)}
    assert peak.order == [*range(10), *range(10)]
    assert max(starts[task.id] for task in high) <= min(starts[task.id] for task in low)


@ORDERS
def test_resumed_tasks_of_a_rate_get_their_time_slots_in_order(
    home: Installation, peak: Peak, order: str | int
) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=10_000))
    home.services.pause.pause(type_target("work"))
    tasks = submitted(home, TASKS, ["a"])
    hold_and_resume(home, tasks)

    while home.queues.counts(3)[0]:
        deal(home, order)
        home.work()

    waiting = [home.task(task) for task in tasks if home.task(task).status is Status.PENDING]
    assert peak.order in ([], [0])
    assert [task.id for task in waiting] == [task.id for task in tasks[-len(waiting) :]]
    slots = [task.reserved_at or 0 for task in waiting]
    assert slots == sorted(set(slots))
    assert slots[0]


def test_a_newcomer_does_not_come_before_who_was_told_of_a_place(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    first = submitted(home, 1, ["a"])
    home.work()
    limit(home, "a", 1)
    newcomers = submitted(home, 2, ["a"])
    deal(home, "reversed")

    home.work()

    ends = [home.task(task).finished_at or 0 for task in (*first, *newcomers)]
    assert home.queues.depth(3) == 0
    assert peak.order == [0, 0, 1]
    assert ends == sorted(ends)


@ORDERS
def test_places_that_get_free_one_after_the_other_go_to_those_who_came_first(
    home: Installation, peak: Peak, order: str | int
) -> None:
    """However often and by whomever they are told of, and in which order that arrives."""
    limit(home, "a", 0)
    tasks = submitted(home, 9, ["a"])
    home.work()
    for most in (1, 2, 3):
        limit(home, "a", most)
        home.sweep()
    limit(home, "a", 1)

    work_through(home, order, 3)

    assert peak.order == list(range(9))
    assert {home.task(task).attempt for task in tasks} == {1}


@ORDERS
def test_who_need_not_wait_for_one_key_any_more_waits_for_the_other_in_order(
    home: Installation, peak: Peak, order: str | int
) -> None:
    limit(home, "a", 0)
    limit(home, "b", 1)
    submitted(home, 12, ["a", "b"])
    while home.queues.depth(3):
        home.work()

    home.services.limits.remove("a", never)
    home.clock.advance(REMEMBER_MS / 1000)
    work_through(home, order, 3)

    assert peak.order == list(range(12))


@ORDERS
def test_who_has_only_a_rate_to_wait_for_any_more_gets_his_time_slot_in_order(
    home: Installation, peak: Peak, order: str | int
) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 12, ["a"])
    while home.queues.depth(3):
        home.work()
    assert {home.task(task).line for task in tasks} == {"limit:a"}

    limit(home, "a", None, Rate(count=1, period_ms=10_000))
    deal(home, order)

    slots = [home.task(task).reserved_at or 0 for task in tasks]
    assert slots == sorted(set(slots))
    assert slots[0]


def test_with_a_higher_rate_the_time_slots_are_in_the_order_of_the_old_ones(home: Installation, peak: Peak) -> None:
    limit(home, "a", None, Rate(count=1, period_ms=600_000))
    tasks = submitted(home, 8, ["a"])
    home.work()
    old = {task.id: home.task(task).reserved_at or 0 for task in tasks if home.task(task).line}
    assert len(old) == 7

    home.clock.advance(1)
    limit(home, "a", None, Rate(count=1, period_ms=10_000))

    new = {task_id: home.store.get([task_id])[task_id].reserved_at or 0 for task_id in old}
    assert sorted(old, key=old.__getitem__) == sorted(new, key=new.__getitem__)
    assert max(new.values()) < home.clock.now() + 100_000


def test_a_pause_that_a_worker_believes_in_still_costs_nobody_his_place(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    home.services.pause.pause(type_target("work"))
    submitted(home, 5, ["a"])
    home.work()
    home.services.pause.resume(type_target("work"), never)  # and no time passes

    work_through(home, "reversed", 3)

    assert peak.order == list(range(5))


def test_tasks_without_keys_go_to_their_lanes_as_ever(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.services.pause.pause(type_target("work"))
    tasks = submitted(home, 3, [])
    home.work()
    before = len(home.lanes.sent)
    asked: list[Sequence[str]] = []

    def noted(keys: Sequence[str]) -> dict[str, LimitState]:
        asked.append(keys)
        return {}

    monkeypatch.setattr(home.control, "limits", noted)

    home.services.pause.resume(type_target("work"), never)

    assert [message.task_id for message in home.lanes.sent[before:]] == [task.id for task in tasks]
    assert asked == []


def test_an_overdue_task_whose_pause_is_forgotten_goes_on_to_its_limit(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    home.services.pause.pause(type_target("work"))
    tasks = submitted(home, 3, ["a"])
    home.work()
    home.control.end_pause(type_target("work"), home.clock.now())
    home.control.forget_pause(home.control.pauses()[0])

    home.clock.advance(600)
    home.sweep()
    assert {home.task(task).line for task in tasks} == {"limit:a"}
    work_through(home, "reversed", 3)

    assert peak.order == list(range(3))


def test_a_table_that_does_not_answer_is_asked_again_later(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    submitted(home, 1, ["a"])
    home.work()
    limit(home, "a", 1)
    home.store.refuse("claim")

    home.work()
    assert home.queues.counts(3)[:2] == (0, 1), "some seconds later, and not at once"
    home.clock.advance(5)
    home.work()

    assert peak.order == [0]
