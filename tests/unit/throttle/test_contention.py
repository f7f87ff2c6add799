"""Many who take the same limit at the same moment: nobody waits for long because others came in between."""

from collections import Counter
from collections.abc import Sequence

import pytest

from tasklane.errors import Contended, Unavailable
from tasklane.ports import Blocked, Claim
from tasklane.task import Status, Task
from tasklane.throttle import Rate
from tests.support.installation import Installation
from tests.unit.throttle.conftest import Peak, in_use, limit, statuses, submitted

Answers = list[Task | Blocked | Unavailable | None]


@pytest.fixture
def crowd(home: Installation, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Tasks by id, and which of their claims is refused because others come in between."""
    crowd: dict[str, int] = {}
    claims_of: Counter[str] = Counter()
    claim = home.store.claim

    def claim_among_others(claims: Sequence[Claim]) -> Answers:
        answers: Answers = []
        for one in claims:
            task_id = one.message.task_id
            claims_of[task_id] += 1
            in_between = crowd.get(task_id) == claims_of[task_id]
            answers += [Contended("others came in between")] if in_between else claim([one])
        return answers

    monkeypatch.setattr(home.store, "claim", claim_among_others)
    return crowd


def test_a_contended_task_is_announced_again_at_once(home: Installation, peak: Peak, crowd: dict[str, int]) -> None:
    limit(home, "a", 5)
    tasks = submitted(home, 3, ["a"])
    crowd[tasks[1].id] = 1

    report = home.work()

    assert report.unhandled == frozenset()
    assert statuses(home, tasks) == [Status.COMPLETED, Status.PENDING, Status.COMPLETED]
    home.work()
    assert home.task(tasks[1]).status is Status.COMPLETED
    assert home.task(tasks[1]).attempt == 1


def test_one_that_no_lane_takes_comes_again(home: Installation, peak: Peak, crowd: dict[str, int]) -> None:
    limit(home, "a", 5)
    (task,) = submitted(home, 1, ["a"])
    crowd[task.id] = 1
    home.lanes.refuse = 1

    assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).status is Status.COMPLETED


def test_a_slot_that_others_contend_for_is_told_of_again(home: Installation, peak: Peak, crowd: dict[str, int]) -> None:
    limit(home, "a", 1)
    tasks = submitted(home, 2, ["a"])
    crowd[tasks[1].id] = 3  # first there was no room, and once it stood in line still none

    home.work()
    assert statuses(home, tasks) == [Status.COMPLETED, Status.PENDING]
    assert home.task(tasks[1]).line == "limit:a", "it does not lose its place"
    home.work()

    assert statuses(home, tasks) == [Status.COMPLETED] * 2
    assert in_use(home, "a") == 0


@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
def test_one_that_others_keep_from_its_time_slot_is_announced_again_at_once(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    for key in "ab":
        limit(home, key, rate=Rate(count=10, period_ms=1000))
    tasks = submitted(home, 2, keys)
    (other,) = submitted(home, 1, [])

    def among_others(*_: object) -> None:
        raise Contended("others came in between")

    with monkeypatch.context() as patch:
        patch.setattr(home.control, "reserve" if len(keys) == 1 else "reserve_together", among_others)
        report = home.work()

    assert report.unhandled == frozenset()
    assert statuses(home, [*tasks, other]) == [Status.PENDING, Status.PENDING, Status.COMPLETED]
    home.work()
    assert statuses(home, tasks) == [Status.COMPLETED] * 2
