"""Limits where something comes late, twice, or not at all: nobody is stranded, sent to and fro, or left behind."""

from collections.abc import Callable, Sequence

import pytest

from tasklane.errors import Unavailable
from tasklane.limiter import REMEMBER_MS
from tasklane.ports import Blocked, Claim
from tasklane.task import Status, Task
from tasklane.throttle import Limit, Rate
from tests.support.builders import NOW
from tests.support.dying import work_and_die
from tests.support.installation import Installation
from tests.support.limits import set_limit
from tests.support.waiting import never
from tests.unit.throttle.conftest import limit, statuses, submitted

pytestmark = pytest.mark.usefixtures("peak")

DAY = 86_400


def a_moment() -> Callable[[], bool]:
    """Enough after one look."""
    looks = iter([False])
    return lambda: next(looks, True)


def minutes_go_by(home: Installation, count: int) -> None:
    """With a sweep and a batch of work in each."""
    for _ in range(count):
        home.clock.advance(60)
        home.sweep()
        home.work()


def test_a_worker_that_knows_the_old_rate_spoils_nothing_for_the_new_one(home: Installation) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=DAY * 1000))
    submitted(home, 1, ["a"])
    home.work()
    limit(home, "a", rate=Rate(count=100, period_ms=1000))
    late = submitted(home, 1, ["a"])
    home.work()
    home.clock.advance(REMEMBER_MS / 1000)
    later = submitted(home, 1, ["a"])
    home.work()

    assert set(statuses(home, late + later)) == {Status.COMPLETED}


def test_slots_of_the_old_rate_that_are_given_after_the_new_one_are_void(home: Installation) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=5000))
    submitted(home, 1, ["a"])
    home.work()
    home.clock.advance(1)
    limit(home, "a", rate=Rate(count=1, period_ms=DAY * 1000))
    tasks = submitted(home, 10, ["a"])
    home.work()
    for _ in range(20):
        home.clock.advance(4)
        home.work()

    assert statuses(home, tasks).count(Status.COMPLETED) <= 1


def test_who_joins_the_line_of_a_limit_that_is_just_removed_is_found(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 0)
    submitted(home, 1, ["a"])
    home.work()
    home.services.manage.cancel(home.store.only().id)
    (task,) = submitted(home, 1, ["a"])
    claim = home.store.claim

    def and_then_it_is_removed(claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        answers = claim(claims)
        home.services.limits.remove("a", never)
        home.clock.advance(0.1)
        home.sweep()
        return answers

    with monkeypatch.context() as patch:
        patch.setattr(home.store, "claim", and_then_it_is_removed)
        patch.setattr("tasklane.claims.Claims.next_in_line", lambda *_: ())
        home.work()
    assert home.task(task).line == "limit:a"

    minutes_go_by(home, 20)

    assert home.task(task).status is Status.COMPLETED


def test_who_waits_though_nobody_has_noted_it_is_found_when_due(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 0)
    (task,) = submitted(home, 1, ["a"])
    with monkeypatch.context() as patch:
        patch.setattr(home.control, "note_waiting", lambda *_: None)
        home.work()
    set_limit(home.control, Limit(key="a", max_concurrent=1, since=NOW))

    minutes_go_by(home, 10)

    assert home.task(task).status is Status.COMPLETED


def test_a_worker_that_knows_a_removed_limit_makes_nobody_stand_in_line_again(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 5, ["a"])
    home.work()
    home.services.limits.remove("a", never)
    monkeypatch.setattr(home.store, "in_line", lambda *_: [tasks[0].id])  # the index lags behind

    home.work()

    assert set(statuses(home, tasks)) == {Status.COMPLETED}


def test_every_key_has_its_turn_in_a_sweep_that_is_short(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        limit(home, f"k{n}", 0)
        submitted(home, 1, [f"k{n}"])
        home.work()
    looked: set[str] = set()
    in_line = home.store.in_line

    def noted(line: str, count: int) -> list[str]:
        looked.add(line)
        return in_line(line, count)

    monkeypatch.setattr(home.store, "in_line", noted)
    for n in range(6):
        set_limit(home.control, Limit(key=f"k{n}", max_concurrent=1, since=NOW))
    for _ in range(100):
        home.services.limits.sweep(a_moment())

    assert len(looked) == 6


def test_a_put_does_not_let_everybody_go_at_once(home: Installation) -> None:
    limit(home, "a", 0)
    tasks = submitted(home, 5, ["a"])
    home.work()

    home.services.limits.put("a", max_concurrent=None, rate=Rate(count=1000, period_ms=1000), enough=lambda: True)
    assert {home.task(task).line for task in tasks} == {"limit:a"}
    home.sweep()
    assert {home.task(task).line for task in tasks} == {"rate:a"}, "on their way"


def test_who_joined_a_line_that_got_room_meanwhile_starts_though_the_index_lags(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", 1)
    (task,) = submitted(home, 1, ["a"])
    claim = home.store.claim

    def busy_then_free(claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        monkeypatch.setattr(home.store, "claim", claim)
        return [Blocked(key="a") for _ in claims]

    monkeypatch.setattr(home.store, "claim", busy_then_free)
    monkeypatch.setattr(home.store, "in_line", lambda *_: [])

    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_a_doubled_message_takes_no_second_slot_and_sends_no_second_message(home: Installation) -> None:
    limit(home, "a", rate=Rate(count=1, period_ms=10_000))
    _, task = submitted(home, 2, ["a"])
    doubled = home.lanes.sent[-1].to_json()
    home.work()
    slot, sent = home.task(task).run_at, len(home.lanes.sent)

    for _ in range(3):
        home.queues.send(3, doubled, 0)
        home.work()

    assert home.task(task).run_at == slot
    assert len(home.lanes.sent) == sent
    (third,) = submitted(home, 1, ["a"])
    home.work()
    assert (home.task(third).run_at or 0) - (slot or 0) == 10_500


def test_a_sweep_that_only_waits_for_a_lease_wakes_nobody(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(home, "a", 1)
    lost, waiting = submitted(home, 2, ["a"])
    work_and_die(home, monkeypatch, "tasklane.watch.Watch.until_all_end")
    home.clock.advance(((home.task(lost).due_at or 0) - home.clock.now()) / 1000)
    monkeypatch.setattr("tasklane.sweep.CLOCK_TOLERANCE_MS", 600_000)
    home.sweep()

    assert home.task(lost).status is Status.RUNNING
    assert home.task(waiting).line == "limit:a"
