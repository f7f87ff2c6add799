"""A table that is slow to let starts begin does not bunch them: who has missed his time slot gets another."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from tasklane.errors import Unavailable
from tasklane.ports import Blocked, Claim
from tasklane.run import Run
from tasklane.starter import Starter
from tasklane.task import Task
from tasklane.throttle import LEAD_MS, Limit, Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import Peak, limit, submitted


def slow_claims(home: Installation, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[], None]) -> None:
    """From now on time passes while a claim is made."""
    claim = home.store.claim

    def slowly(claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        pass_time()
        return claim(claims)

    monkeypatch.setattr(home.store, "claim", slowly)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_table_that_is_slow_to_let_a_start_begin_does_not_bunch_it_with_the_next(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    begun = time.monotonic()
    slow_claims(home, monkeypatch, lambda: time.sleep(LEAD_MS / 2000))
    submitted(home, batch, ["a"])
    home.work()

    gaps = [later - sooner for sooner, later in pairwise([begun, *peak.began])]
    assert gaps[0] >= LEAD_MS / 1000 - 0.01
    assert all(gap > 0.03 for gap in gaps), "on a busy machine one or the other begins late"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the starts of tasks that have been claimed are waited for, in seconds."""
    begin, waits = Starter.begin, list[float]()

    def noted(starter: Starter, task: Task, remaining: Callable[[], float], wait_seconds: float = 0.0) -> Run:
        waits.append(wait_seconds)
        return begin(starter, task, remaining, 0.0)

    monkeypatch.setattr(Starter, "begin", noted)
    return waits


def others_reserve(home: Installation, count: int) -> list[int]:
    """Another process takes the next time slots."""
    return home.control.reserve(home.services.limits.get("a").limit, home.clock.now(), count) or []


def test_starts_whose_time_slots_a_claim_outlasts_get_others(
    home: Installation, peak: Peak, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By as much later they would begin at the times of those whom other processes begin."""
    taken: list[int] = []

    def slowly() -> None:
        home.clock.advance(0.6)
        taken.extend(others_reserve(home, 12))

    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    slow_claims(home, monkeypatch, slowly)
    submitted(home, 5, ["a"])
    home.work()

    starts = [home.clock.now() + round(wait * 1000) for wait in sorted(waits)]
    assert [at - taken[-1] for at in starts] == pytest.approx([105, 210, 315, 420, 525], abs=1)


def test_where_no_time_slot_is_near_they_keep_their_distance(
    home: Installation, peak: Peak, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly() -> None:
        others_reserve(home, 100)
        home.clock.advance(2)  # the slots of all of them are over

    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    slow_claims(home, monkeypatch, slowly)
    submitted(home, 5, ["a"])
    home.work()

    assert sorted(waits) == pytest.approx([0, 0.105, 0.21, 0.315, 0.42])
    assert len(peak.began) == 5


def test_what_the_reads_before_take_does_not_use_up_the_time_slots(
    home: Installation, peak: Peak, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    get = home.store.get

    def slowly(task_ids: Sequence[str]) -> dict[str, Task]:
        home.clock.advance(2)
        return get(task_ids)

    submitted(home, 3, ["a"])
    with monkeypatch.context() as patch:
        patch.setattr(home.store, "get", slowly)
        home.work()

    assert sorted(waits) == pytest.approx([0.25, 0.355, 0.46])


def test_slow_claims_are_allowed_for_in_the_time_slots_that_follow(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, ahead = home.control.reserve, list[int]()

    def noted(limit: Limit, now: int, count: int) -> list[int] | None:
        ahead.append(now - home.clock.now())
        return reserve(limit, now, count)

    limit(home, "a", rate=Rate(count=10, period_ms=1000))
    monkeypatch.setattr(home.control, "reserve", noted)
    slow_claims(home, monkeypatch, lambda: home.clock.advance(0.4))
    for _ in range(3):
        submitted(home, 1, ["a"])
        home.work()
        home.clock.advance(60)

    assert ahead == [LEAD_MS, 800, 800, 800], "the first one's slot was over before it could start"


def test_a_start_whose_limit_has_just_ended_keeps_its_time_where_others_get_another(
    home: Installation, peak: Peak, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who comes with the same messages finds that there is no such limit any more."""
    for key in "ab":
        limit(home, key, rate=Rate(count=10, period_ms=1000))
    home.control.reserve(home.services.limits.get("b").limit, home.clock.now(), 40)
    submitted(home, 1, ["b"])
    home.work()
    home.clock.advance(3)
    submitted(home, 1, ["a"])
    submitted(home, 1, ["b"])
    home.control.remove_limit("b")
    slow_claims(home, monkeypatch, lambda: home.clock.advance(1))

    home.work()

    assert len(peak.began) == 3
    assert sorted(waits) == pytest.approx([0, 0.197, 1], abs=0.01)
