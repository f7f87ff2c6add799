"""So many at once: who gets a slot, and how a slot comes back."""

import pytest

from tasklane.errors import LimitNotFound
from tasklane.limiter import REMEMBER_MS
from tasklane.line import lane_target
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.dying import work_and_die
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.support.waiting import never
from tests.unit.throttle.conftest import Peak, in_use, limit, statuses, submitted, told_of


def test_so_many_run_at_once_and_the_rest_follows_in_order(home: Installation, peak: Peak) -> None:
    limit(home, "a", 2)
    tasks = submitted(home, 10, ["a"])

    report = home.work()

    assert report.unhandled == frozenset()
    assert peak.most == 2
    assert all(abs(place - n) <= 1 for place, n in enumerate(peak.order))
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert {home.task(task).attempt for task in tasks} == {1}
    assert in_use(home, "a") == 0
    assert home.queues.depth(3) == 0


def test_tasks_without_keys_and_keys_without_limits_are_not_held(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    free = submitted(home, 3, []) + submitted(home, 3, ["b"])
    held = submitted(home, 2, ["a"])

    home.work()

    assert set(statuses(home, free)) == {Status.COMPLETED}
    assert {home.task(task).line for task in held} == {"limit:a"}
    assert set(statuses(home, held)) == {Status.PENDING}


def test_all_keys_must_have_room(home: Installation, peak: Peak) -> None:
    limit(home, "a", 5)
    limit(home, "b", 1)
    tasks = submitted(home, 6, ["a", "b"])

    home.work()

    assert peak.most == 1
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert (in_use(home, "a"), in_use(home, "b")) == (0, 0)


def test_two_keys_in_either_order_never_deadlock(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    limit(home, "b", 1)
    tasks = [task for n in range(5) for task in submitted(home, 1, ["a", "b"] if n % 2 else ["b", "a"])]
    tasks += submitted(home, 2, ["a"]) + submitted(home, 2, ["b"])

    for _ in range(5):
        home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}


def test_a_failed_attempt_gives_its_slot_back_and_waits_again(home: Installation, registry: Registry) -> None:
    @registry.task("fails")
    def fails(payload: Anything) -> None:
        raise OSError("no")

    limit(home, "a", 1)
    task = home.submit("fails", throttle_keys=["a"])
    home.work()

    assert home.task(task).status in (Status.SCHEDULED, Status.PENDING)
    assert home.task(task).slots == ()
    assert in_use(home, "a") == 0


def test_the_slot_of_a_lost_worker_comes_back_and_wakes_the_next(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 1)
    lost, waiting = submitted(home, 2, ["a"])
    work_and_die(home, monkeypatch, "tasklane.watch.Watch.until_all_end")
    assert in_use(home, "a") == 1
    assert home.task(waiting).line == "limit:a"

    home.clock.advance(81)
    home.sweep()
    assert in_use(home, "a") == 0, "others wait for it: it is looked at when its lease is over, and no minutes later"
    assert told_of(home, "a") == [waiting.id]
    home.work()

    assert home.task(waiting).status is Status.COMPLETED
    assert [attempt.error.type for attempt in home.task(lost).attempts] == ["AttemptLost"]


def test_a_raised_limit_wakes_who_waits(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 5, ["a"])
    home.work()

    limit(home, "a", 3)
    assert home.queues.depth(3) == 3
    home.work()
    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert peak.most <= 3


def test_a_removed_limit_lets_everybody_go(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 5, ["a"])
    home.work()

    home.services.limits.remove("a", never)
    home.clock.advance(REMEMBER_MS / 1000)
    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    with pytest.raises(LimitNotFound):
        home.services.limits.get("a")
    assert home.services.limits.list(10) == []


def test_workers_hear_of_a_limit_within_seconds(home: Installation, peak: Peak) -> None:
    submitted(home, 1, ["a"])
    home.work()
    limit(home, "a", 0)
    home.clock.advance(REMEMBER_MS / 1000)
    (task,) = submitted(home, 1, ["a"])
    home.work()

    assert home.task(task).line == "limit:a"


def test_a_paused_task_does_not_hold_a_slot(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    home.work()
    home.services.pause.pause(lane_target(3))
    home.clock.advance(10)
    limit(home, "a", 1)
    home.work()

    assert home.task(task).line == "pause:lane:3"
    assert in_use(home, "a") == 0


def test_with_little_time_left_others_are_told_of_the_slot(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    first, second = submitted(home, 2, ["a"])

    home.work(seconds=61.5)  # less than the reserve and the second's time limit, which may be cut by a fiftieth

    assert home.task(first).status is Status.COMPLETED
    assert home.task(second).line == "limit:a"
    assert told_of(home, "a") == [second.id]
    home.work()
    assert home.task(second).status is Status.COMPLETED


def test_tasks_whose_time_limit_is_a_whole_invocation_follow_one_another_too(home: Installation, peak: Peak) -> None:
    limit(home, "a", 2)
    tasks = submitted(home, 6, ["a"], timeout_seconds=900)

    home.work(seconds=899.0)

    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert told_of(home, "a") == []


def test_after_a_while_others_are_told_of_the_slot(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.chain.CHAIN_SECONDS", 0.0)
    limit(home, "a", 1)
    tasks = submitted(home, 3, ["a"])

    home.work()
    assert statuses(home, tasks).count(Status.COMPLETED) == 1
    home.work()
    home.work()
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
