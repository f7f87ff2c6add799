"""What every control store promises about limits as such: they read as they were written, and are listed."""

from dataclasses import replace

import pytest

from tasklane.ports import ControlStore
from tasklane.throttle import Limit, LimitState, Rate
from tests.contract.limits.conftest import RATE, limited
from tests.support.builders import NOW
from tests.support.limits import set_limit

# -- limits as such ----------------------------------------------------------------------------------------------------


def test_a_limit_reads_as_it_was_written(control: ControlStore) -> None:
    limits = [
        Limit(key="account:Größe/7 #", max_concurrent=4, rate=Rate(count=20, period_ms=1500, burst=3), since=NOW),
        Limit(key="b", max_concurrent=0, since=NOW),
        Limit(key="c", rate=RATE, since=NOW + 1),
    ]
    for limit in limits:
        set_limit(control, limit)

    found = control.limits([limit.key for limit in limits] + ["nobody"])

    assert found == {limit.key: LimitState(limit=limit, in_use=0) for limit in limits}
    set_limit(control, Limit(key="b", rate=RATE, since=NOW + 1))
    assert control.limits(["b"])["b"].limit == Limit(key="b", rate=RATE, since=NOW + 1)


def test_another_number_at_once_is_kept_where_the_rate_is_what_it_was(control: ControlStore) -> None:
    """Whoever has read a limit may set its number while another one sets, or removes, its rate."""
    limit, other = (Limit(key="a", rate=Rate(count=n, period_ms=1000), since=NOW + n) for n in (1, 2))
    set_limit(control, limit)
    assert control.put_limit(replace(limit, max_concurrent=3), before=limit)
    assert control.limits(["a"])["a"].limit == replace(limit, max_concurrent=3)

    set_limit(control, other)
    assert not control.put_limit(replace(limit, max_concurrent=4), before=limit)
    assert control.limits(["a"])["a"].limit == other
    control.remove_limit("a")
    assert not control.put_limit(replace(other, max_concurrent=4), before=other)
    assert control.limits(["a"]) == {}
    assert not control.put_limit(replace(limit, key="b"), before=replace(limit, key="b"))


@pytest.mark.parametrize("there", [None, Limit(key="a", max_concurrent=3, since=NOW)])
def test_of_two_who_set_a_rate_at_once_one_is_told_that_he_was_not_first(
    control: ControlStore, there: Limit | None
) -> None:
    """By his, the slots that were reserved by the other one would be given once more, and hold all the same."""
    if there is not None:
        set_limit(control, there)
    limit = Limit(key="a", rate=RATE, since=NOW + 1)
    assert control.put_limit(limit, before=there)
    assert control.reserve(limit, NOW, 1) == [NOW]

    assert not control.put_limit(limit, before=there)
    assert not control.put_limit(Limit(key="a", rate=Rate(count=7, period_ms=1000), since=NOW), before=there)

    assert control.limits(["a"])["a"].limit == limit
    assert control.reserve(limit, NOW, 1) == [NOW + 105]
    control.remove_limit("a")
    assert not control.put_limit(replace(limit, rate=None, max_concurrent=1), before=limit)


def test_slots_by_a_rate_that_was_removed_do_not_hold_by_another_one(control: ControlStore) -> None:
    """Whoever set it may have a clock that is ahead."""
    limit = Limit(key="a", rate=RATE, since=NOW + 2000)
    set_limit(control, limit)
    control.remove_limit("a")
    assert control.reserve(limit, NOW, 1) is None

    assert not control.put_limit(limit, before=None)
    assert not control.put_limit(replace(limit, since=NOW), before=None)
    assert control.limits(["a"]) == {}

    assert control.put_limit(replace(limit, since=NOW + 2001), before=None)
    assert control.limits(["a"])["a"].limit == replace(limit, since=NOW + 2001)


def test_limits_are_listed_in_their_order_page_by_page(control: ControlStore) -> None:
    for key in ("b", "a", "d", "c", "ä"):
        limited(control, key, 1)
    control.remove_limit("c")

    assert control.limit_keys(None, 10) == ["a", "b", "d", "ä"]
    assert control.limit_keys("a", 2) == ["b", "d"]
    assert control.limit_keys("d", 10) == ["ä"]


def test_removing_what_is_not_there_is_fine(control: ControlStore) -> None:
    control.remove_limit("nobody")

    assert control.limits(["nobody"]) == {}
    assert control.limit_keys(None, 10) == []


def test_many_limits_are_read_at_once(control: ControlStore) -> None:
    keys = [f"account:{n:03}" for n in range(120)]
    for key in keys:
        limited(control, key, 1)

    assert sorted(control.limits(keys)) == keys


# -- who waits ---------------------------------------------------------------------------------------------------------


def test_who_is_waited_for_is_noted_until_it_is_forgotten(control: ControlStore) -> None:
    assert control.waited_for() == {}
    control.note_waiting("a", NOW + 1)
    control.note_waiting("b", NOW + 2)
    control.note_waiting("a", NOW + 9)

    control.forget_waiting("a", NOW + 1)
    control.forget_waiting("b", NOW + 2)
    control.forget_waiting("c", NOW)

    assert control.waited_for() == {"a": NOW + 9}, "somebody else has noted it for longer"
