"""What a rate costs where thousands wait for it: counted write by write, and send by send."""

import itertools
from typing import Final

import pytest

from tasklane.message import MAX_DELAY_SECONDS
from tasklane.task import Status, Task
from tasklane.throttle import LEAD_MS, STRETCH, Limit, Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import Peak, limit, submitted, work_off

BATCH: Final = 10
PER_SECOND: Final = 10
SWEEP_SECONDS: Final = 60
HOUR_MS: Final = 3_600_000


@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.slow])])
def test_each_waits_for_its_slot_at_the_price_of_one_write(
    home: Installation, peak: Peak, starts: list[int], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """One extra write and one extra send for each task that is put off, and nothing is tried over and over.

    No queue carries a message for more than 15 minutes: to the slots behind (of 10,000 tasks at 10/s the last 1,400) it
    goes in two steps, which is one send more and no write. The slots themselves are reserved a batch at a time: a write
    to the control table for ten tasks.
    """
    reserved = counted_reservations(home, monkeypatch)
    limit(home, "a", rate=Rate(count=PER_SECOND, period_ms=1000))
    tasks = submitted(home, count, ["a"], seconds=0)
    begun = home.clock.now()
    sent_by_submission = len(home.lanes.sent)
    home.store.saved.clear()

    work_off(home)
    soon = len(starts)
    put_off, sent = writes(home), len(home.lanes.sent) - sent_by_submission
    pass_until_done(home, tasks)

    assert {task.status for task in home.store.get([task.id for task in tasks]).values()} == {Status.COMPLETED}
    far = sum(at - begun > MAX_DELAY_SECONDS * 1000 for at in starts)
    outcomes, claims = count, sum(map(len, home.store.claimed))
    extra_writes, extra_sends = writes(home) - outcomes, len(home.lanes.sent) - sent_by_submission
    print(
        f"{count} tasks at {PER_SECOND}/s: {soon} begin at once, {put_off - soon} are put off, {far} of them by more "
        f"than 15 minutes; {claims} claims, {extra_writes} extra writes, {extra_sends} extra sends, "
        f"{len(reserved)} writes that reserve"
    )
    assert (put_off, sent) == (count, count - soon)
    assert claims == count, "nothing is claimed in vain"
    assert sum(reserved) == count, "a slot each, and no second one"
    assert len(reserved) == count // BATCH
    assert extra_writes == count - soon, "each is written once more, however far off its slot is"
    assert extra_sends <= count - soon + far
    in_order = sorted(starts)
    assert all(later - sooner >= 1000 / PER_SECOND for sooner, later in itertools.pairwise(in_order))
    ideal_ms = count / PER_SECOND * 1000 * STRETCH
    assert in_order[-1] - begun <= ideal_ms + LEAD_MS + 1000


def test_slots_that_are_hours_off_cost_one_write_too_and_later_ones_a_second(
    home: Installation, peak: Peak, starts: list[int]
) -> None:
    """So long is a queue cheaper than the sweeper, who writes down that he sends a task."""
    limit(home, "a", rate=Rate(count=1, period_ms=HOUR_MS))
    tasks = submitted(home, 6, ["a"], seconds=0)
    begun = home.clock.now()
    home.store.saved.clear()

    for _ in range(6 * 60):
        work_off(home)
        home.sweep()
        home.clock.advance(60)

    offs = [round((at - begun) / (STRETCH * HOUR_MS), 2) for at in starts]
    written = [sum(change.before.id == task.id for some in home.store.saved for change in some) for task in tasks]
    outcome = 1
    assert offs == [0, 1, 2, 3, 4, 5]
    assert written == [outcome, outcome + 1, outcome + 1, outcome + 2, outcome + 2, outcome + 2]


def counted_reservations(home: Installation, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For how many tasks each request reserves."""
    reserve, counts = home.control.reserve, list[int]()

    def counted(wanted: Limit, now: int, count: int) -> list[int] | None:
        counts.append(count)
        return reserve(wanted, now, count)

    monkeypatch.setattr(home.control, "reserve", counted)
    return counts


def writes(home: Installation) -> int:
    return sum(map(len, home.store.saved))


def pass_until_done(home: Installation, tasks: list[Task]) -> None:
    """Let time pass second by second, with a sweep each minute."""
    for second in range(2 * len(tasks) // PER_SECOND + SWEEP_SECONDS):
        if second % SWEEP_SECONDS == 0:
            home.sweep()
        home.clock.advance(1)
        work_off(home)
        if not home.queues.depth(3) and home.task(tasks[-1]).status.final:
            return
    raise AssertionError("they are not done in twice the time that they have")
