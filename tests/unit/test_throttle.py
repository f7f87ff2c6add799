"""Limits by key: who starts, who waits, and who is woken."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from tasklane.errors import ConfigurationError, InvalidPayload, InvalidRequest, LimitNotFound, Unavailable
from tasklane.limiter import REMEMBER_MS
from tasklane.line import lane_target, limit_line
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tasklane.throttle import Limit, Rate, is_valid
from tests.support.builders import NOW
from tests.support.installation import Installation


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Account(BaseModel):
    account: str = "7"


class Peak:
    """How many handlers ran at once, at most, and in which order they began."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[Any] = []
        self._lock = threading.Lock()

    def run(self, name: Any, seconds: float) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(name)
        time.sleep(seconds)
        with self._lock:
            self.now -= 1


@pytest.fixture
def peak(registry: Registry) -> Peak:
    peak = Peak()

    @registry.task("work")
    def work(payload: Anything) -> None:
        fields = payload.model_extra or {}
        peak.run(fields.get("n"), fields.get("seconds", 0.01))

    return peak


def never() -> bool:
    return False


def limit(home: Installation, key: str, most: int | None = None, rate: Rate | None = None) -> None:
    home.services.limits.put(key, max_concurrent=most, rate=rate)


def submitted(home: Installation, count: int, keys: Sequence[str], **fields: Any) -> list[Task]:
    tasks = []
    for n in range(count):
        home.clock.advance(0.001)
        tasks.append(home.submit("work", {"n": n, **fields.pop("payload", {})}, throttle_keys=keys, **fields))
    return tasks


def statuses(home: Installation, tasks: Sequence[Task]) -> list[Status]:
    return [home.task(task).status for task in tasks]


def in_use(home: Installation, key: str) -> int:
    return home.services.limits.get(key).in_use


# -- how many at once --------------------------------------------------------------------------------------------------


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
    home.control.put_limit(Limit(key="a", max_concurrent=1, since=NOW), restart=False)
    late = submitted(home, 1, ["a"])

    home.work()

    assert [home.task(task).status for task in (*first, *late)] == [Status.COMPLETED] * 4
    starts = [home.task(task).finished_at or 0 for task in (*first, *late)]
    assert starts == sorted(starts)


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

    class Crash(BaseException):
        pass

    def dies(*_: Any) -> Any:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("tasklane.watch.Watch.until_all_end", dies)
        with pytest.raises(Crash):
            home.work()
    assert in_use(home, "a") == 1
    assert home.task(waiting).line == "limit:a"

    home.clock.advance(200)
    home.sweep()
    assert in_use(home, "a") == 0
    assert home.task(waiting).line is None, "woken"
    home.work()

    assert home.task(waiting).status is Status.COMPLETED
    assert [attempt.error.type for attempt in home.task(lost).attempts] == ["AttemptLost"]


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


def test_the_sweeper_wakes_whom_nobody_woke(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 4, ["a"])
    home.work()
    home.control.put_limit(Limit(key="a", max_concurrent=2, since=NOW), restart=False)

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


def test_next_in_line_with_little_time_left_goes_over_the_lane(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1)
    first, second = submitted(home, 2, ["a"])

    home.work(seconds=62.0)  # less than the reserve and the second's time limit

    assert home.task(first).status is Status.COMPLETED
    assert home.task(second).line is None
    assert home.queues.depth(3) == 1
    home.work()
    assert home.task(second).status is Status.COMPLETED


def test_who_has_no_room_is_not_sent_to_and_fro(home: Installation, peak: Peak) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    sent = len(home.lanes.sent)

    home.work(seconds=30.0)  # less than its time limit: another process would have to run it

    assert home.task(task).line == "limit:a"
    assert len(home.lanes.sent) == sent


def test_after_a_while_the_next_goes_over_the_lane(
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


# -- how fast ----------------------------------------------------------------------------------------------------------


def test_starts_are_spread_by_one_write_each(home: Installation, peak: Peak) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=10_000))
    tasks = submitted(home, 5, ["a"])
    home.store.saved.clear()
    home.work()

    assert sum(len(changes) for changes in home.store.saved) == 4 + 1, "four are put off, one has ended"
    run_at = [home.task(task).run_at for task in tasks]
    assert run_at[0] is None
    assert [at and at - home.clock.now() for at in run_at[1:]] == [10_500, 21_000, 31_500, 42_000]
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


@pytest.mark.parametrize("early", [0.1, 0.9, 1.1, 1.9, 2.9])
def test_a_message_that_comes_early_waits_here_and_is_not_sent_to_and_fro(
    home: Installation, peak: Peak, early: float
) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=60_000))
    _, task = submitted(home, 2, ["a"])
    home.work()
    sent, begun = len(home.lanes.sent), time.monotonic()
    home.clock.advance(63 - early)
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

    assert (home.task(task).run_at or 0) - home.clock.now() == 105_000


def test_a_rate_and_a_number_hold_together(home: Installation, peak: Peak) -> None:
    limit(home, "a", 1, rate=Rate(count=20, period_ms=1000))
    tasks = submitted(home, 6, ["a"], payload={"seconds": 0.1})
    for _ in range(4):
        home.work()

    assert peak.most == 1
    assert set(statuses(home, tasks)) == {Status.COMPLETED}
    assert in_use(home, "a") == 0


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_type_makes_keys_of_its_payload(home: Installation, registry: Registry) -> None:
    @registry.task("pay", throttle_keys=["account:{payload.account}", "cluster"])
    def pay(payload: Account) -> None:
        pass

    task = home.submit("pay", {"account": "42"}, throttle_keys=["own", "cluster"])

    assert home.task(task).throttle_keys == ("account:42", "cluster", "own")


@pytest.mark.parametrize("account", ["", "\n", "x" * 300])
def test_a_payload_that_makes_no_key_is_refused(home: Installation, registry: Registry, account: str) -> None:
    @registry.task("pay", throttle_keys=["{payload.account}"])
    def pay(payload: Account) -> None:
        pass

    with pytest.raises(InvalidPayload):
        home.submit("pay", {"account": account})


def test_a_payload_without_the_field_is_refused(home: Installation, registry: Registry) -> None:
    @registry.task("pay", throttle_keys=["{payload.elsewhere}"])
    def pay(payload: Account) -> None:
        pass

    with pytest.raises(InvalidPayload):
        home.submit("pay", {})


def test_too_many_keys_are_refused(home: Installation, peak: Peak) -> None:
    with pytest.raises(InvalidRequest):
        home.submit("work", throttle_keys=[f"k{n}" for n in range(11)])


@pytest.mark.parametrize("keys", ["a", [""], ["{other}"], ["{payload"], [7], ["{payload.__class__}{0}"]])
def test_keys_that_are_none_are_refused_when_the_type_is_registered(registry: Registry, keys: Any) -> None:
    with pytest.raises(ConfigurationError):

        @registry.task("pay", throttle_keys=keys)
        def pay(payload: Account) -> None:
            pass


def test_the_worker_forgets_keys_it_has_not_seen_for_long(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.limiter.MAX_KNOWN", 3)
    for n in range(6):
        submitted(home, 1, [f"k{n}"])
    home.work()
    submitted(home, 1, ["k0", "k7"])
    home.work()

    assert len(peak.order) == 7


# -- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_ms", "valid"), [(-1000, True), (0, True), (50, True), (51, False), (5000, False)])
def test_a_slot_may_be_used_a_little_late(late_ms: int, valid: object) -> None:
    rated = Limit(key="a", rate=Rate(count=40, period_ms=1000), since=NOW)

    assert is_valid(NOW + 10, NOW, [rated], NOW + 10 + late_ms) is valid
    assert is_valid(NOW + 10, NOW - 1, [rated], NOW + 10) is False, "reserved before the rate was set"
    assert is_valid(None, None, [rated], NOW) is False
    assert is_valid(None, None, [Limit(key="a", max_concurrent=1)], NOW) is True
