"""What every control store promises about rates: time slots are given once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tasklane.ports import ControlStore
from tasklane.throttle import Limit, Rate
from tests.contract.limits.conftest import RATE
from tests.support.builders import NOW
from tests.support.limits import set_limit

# -- limits as such ----------------------------------------------------------------------------------------------------


def reserved(control: ControlStore, limit: Limit, now: int, count: int) -> list[int]:
    slots = control.reserve(limit, now, count)
    assert slots is not None
    return slots


# -- time slots --------------------------------------------------------------------------------------------------------


def test_time_slots_follow_one_another(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    set_limit(control, limit)

    slots = reserved(control, limit, NOW, 3) + reserved(control, limit, NOW + 1, 2)

    assert slots == [NOW, NOW + 105, NOW + 210, NOW + 315, NOW + 420]


def test_after_a_while_without_any_the_next_slot_is_now(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    set_limit(control, limit)
    control.reserve(limit, NOW, 3)

    assert control.reserve(limit, NOW + 5000, 2) == [NOW + 5000, NOW + 5105]


def test_a_burst_comes_at_once_and_has_to_be_saved_again(control: ControlStore) -> None:
    limit = Limit(key="a", rate=Rate(count=10, period_ms=1000, burst=3), since=NOW)
    set_limit(control, limit)

    assert control.reserve(limit, NOW, 5) == [NOW, NOW, NOW, NOW + 105, NOW + 210]
    assert control.reserve(limit, NOW + 60_000, 3) == [NOW + 60_000] * 3


def test_a_new_rate_forgets_the_slots_that_were_given(control: ControlStore) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    set_limit(control, limit)
    control.reserve(limit, NOW, 1000)
    set_limit(control, replace(limit, max_concurrent=3))
    assert control.reserve(limit, NOW, 1) == [NOW + 105_000]

    new = Limit(key="a", rate=Rate(count=11, period_ms=1000), since=NOW + 1)
    set_limit(control, new)
    assert control.reserve(new, NOW, 1) == [NOW]


def test_who_knows_another_rate_reserves_nothing(control: ControlStore) -> None:
    old, new = (Limit(key="a", rate=Rate(count=1, period_ms=n * 1000), since=NOW + n) for n in (1, 2))
    assert control.reserve(old, NOW, 1) is None, "there is no such limit"
    set_limit(control, old)
    assert control.reserve(old, NOW, 1) == [NOW]
    set_limit(control, new)

    assert control.reserve(old, NOW, 1) is None
    assert control.reserve(new, NOW, 1) == [NOW]
    control.remove_limit("a")
    assert control.reserve(new, NOW, 1) is None
    assert control.limits(["a"]) == {}


def test_who_reserves_at_once_gets_different_slots(control: ControlStore, threads: int) -> None:
    limit = Limit(key="a", rate=RATE, since=NOW)
    set_limit(control, limit)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        slots = [slot for some in pool.map(lambda _: reserved(control, limit, NOW, 2), range(12)) for slot in some]

    assert sorted(slots) == [NOW + n * 105 for n in range(24)]
