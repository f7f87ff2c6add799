"""What every control store promises about several rates: their time slots are taken together, and given once."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tasklane.ports import ControlStore
from tasklane.throttle import Limit, Rate
from tasklane.timetable import Changed, Granted, SlotRequest
from tests.contract.limits.conftest import RATE
from tests.support.builders import NOW
from tests.support.limits import set_limit

FIVE = Rate(count=5, period_ms=1000)
LIMITS = {
    "all": Limit(key="all", rate=RATE, since=NOW),
    "a": Limit(key="a", rate=FIVE, since=NOW),
    "b": Limit(key="b", rate=FIVE, since=NOW),
}


def kept(control: ControlStore) -> None:
    for limit in LIMITS.values():
        set_limit(control, limit)


def slots(control: ControlStore, count: int, *keys: str) -> list[int]:
    """Milliseconds from now."""
    limits = {key: LIMITS[key] for key in keys}
    answers = control.reserve_together(limits, [SlotRequest(keys=keys, at=NOW)] * count)
    granted = [answer for answer in answers if isinstance(answer, Granted)]
    assert len(granted) == count
    return [answer.at - NOW for answer in granted]


def test_a_slot_is_taken_by_all_keys_and_what_it_leaves_is_free(control: ControlStore) -> None:
    kept(control)

    assert slots(control, 3, "all", "a") == [0, 210, 420]
    assert slots(control, 2, "all", "b") == [105, 315]
    assert control.reserve(LIMITS["all"], NOW, 2) == [NOW + 525, NOW + 630], "by one rate only, too"
    assert control.reserve(LIMITS["a"], NOW, 1) == [NOW + 630]
    assert slots(control, 1, "all", "a") == [840]
    assert control.reserve(LIMITS["all"], NOW, 1) == [NOW + 735]


def test_once_what_was_free_is_over_slots_follow_one_another_again(control: ControlStore) -> None:
    kept(control)
    slots(control, 3, "all", "a")

    assert control.reserve(LIMITS["all"], NOW + 60_000, 2) == [NOW + 60_000, NOW + 60_105]
    assert control.reserve(LIMITS["all"], NOW + 60_000, 1) == [NOW + 60_210]
    assert control.limits(["all"])["all"].reserved_until == NOW + 60_315


def test_a_rate_that_is_another_by_now_gives_nothing_and_takes_nothing(control: ControlStore) -> None:
    kept(control)
    set_limit(control, Limit(key="b", rate=RATE, since=NOW + 1))

    answers = control.reserve_together(
        LIMITS, [SlotRequest(keys=keys, at=NOW) for keys in (("all", "b"), ("all", "a"), ("all", "a"))]
    )

    assert answers == [Changed("b"), Granted(NOW, "all"), Granted(NOW + 210, "a")]
    assert control.limits(["b"])["b"].reserved_until == 0
    control.remove_limit("a")
    assert control.reserve_together(LIMITS, [SlotRequest(keys=("a",), at=NOW)]) == [Changed("a")]
    assert control.reserve_together(
        {"x": Limit(key="x", rate=RATE, since=NOW)}, [SlotRequest(keys=("x",), at=NOW)]
    ) == [Changed("x")]


def test_a_new_rate_has_no_free_time_left(control: ControlStore) -> None:
    kept(control)
    slots(control, 3, "all", "a")

    new = Limit(key="all", rate=FIVE, since=NOW + 1)
    set_limit(control, new)

    assert control.reserve(new, NOW, 2) == [NOW, NOW + 210]


def test_closed_gaps_leave_no_free_time_before_what_is_kept(control: ControlStore) -> None:
    kept(control)
    slots(control, 300, "all", "a")

    closed = control.close_gaps(replace(LIMITS["all"], kept_until=NOW + 10_000), NOW + 1)

    assert closed is not None
    assert control.reserve(closed, NOW, 2) == [NOW + 10_105, NOW + 10_210]


def test_who_gets_an_earlier_slot_gives_up_the_one_he_has(control: ControlStore) -> None:
    kept(control)
    control.reserve(LIMITS["all"], NOW, 40)
    assert slots(control, 1, "all", "b") == [4200]
    request = SlotRequest(keys=("a", "b"), at=NOW, held_at=NOW + 4200, held_by=("b",))

    assert control.reserve_together({key: LIMITS[key] for key in "ab"}, [request]) == [Granted(NOW, "a")]

    assert [control.limits([key])[key].given_up for key in ("a", "b")] == [0, 1]


def test_many_free_ranges_are_kept(control: ControlStore) -> None:
    kept(control)
    slots(control, 1000, "all", "a")

    later = slots(control, 900, "all", "b")

    assert later == [105 + n * 210 for n in range(900)]


def test_who_reserves_at_once_gets_different_slots_whatever_he_names(control: ControlStore, threads: int) -> None:
    kept(control)

    def reserve(number: int) -> list[int]:
        if number % 3 == 0:
            return [at - NOW for at in control.reserve(LIMITS["all"], NOW, 2) or []]
        return slots(control, 2, "all", "ab"[number % 3 - 1])

    with ThreadPoolExecutor(max_workers=threads) as pool:
        found = list(pool.map(reserve, range(18)))

    times = sorted(at for some in found for at in some)
    assert len(times) == 36
    assert all(later - sooner >= 104 for sooner, later in itertools.pairwise(times))
    for first in (1, 2):
        mine = sorted(at for some in found[first::3] for at in some)
        assert all(later - sooner >= 209 for sooner, later in itertools.pairwise(mine))
