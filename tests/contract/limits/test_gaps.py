"""What every control store promises about gaps: time slots that were given up are counted, and closed once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tasklane.ports import ControlStore
from tasklane.throttle import Limit, LimitState, Rate
from tests.contract.limits.conftest import RATE, limited
from tests.support.builders import NOW
from tests.support.limits import set_limit

KEPT_UNTIL = NOW + 10_000
INTERVAL_MS = 105


def of(control: ControlStore, key: str = "a") -> LimitState:
    return control.limits([key])[key]


def with_slots(control: ControlStore, count: int = 1000, rate: Rate = RATE) -> Limit:
    limit = Limit(key="a", rate=rate, since=NOW)
    set_limit(control, limit)
    control.reserve(limit, NOW, count)
    return limit


def test_a_limit_says_until_when_starts_are_reserved_and_how_many_will_not_be_used(control: ControlStore) -> None:
    with_slots(control)
    control.give_up("a", 3)
    control.give_up("a", 4)

    assert (of(control).reserved_until, of(control).given_up) == (NOW + 1000 * INTERVAL_MS, 7)


def test_nothing_is_given_up_where_no_rate_holds(control: ControlStore) -> None:
    limited(control, "b", 4)

    control.give_up("b", 1)
    control.give_up("nobody", 1)

    assert of(control, "b").given_up == 0
    assert control.limits(["nobody"]) == {}


def test_closed_gaps_make_later_slots_void_and_the_next_ones_follow_those_that_are_kept(control: ControlStore) -> None:
    limit = with_slots(control)
    control.give_up("a", 700)

    closed = control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1)

    assert closed == Limit(key="a", rate=RATE, since=NOW + 1, kept_since=NOW, kept_until=KEPT_UNTIL)
    assert (of(control).limit, of(control).given_up) == (closed, 0)
    assert closed.honours(KEPT_UNTIL, NOW)
    assert not closed.honours(KEPT_UNTIL + 1, NOW)
    assert not closed.honours(KEPT_UNTIL, NOW - 1), "by a rate that did not hold any more: it was void before"
    assert control.reserve(limit, NOW + 1, 1) is None, "who still knows the limit as it was reserves nothing"
    assert control.reserve(closed, NOW + 1, 2) == [KEPT_UNTIL + INTERVAL_MS, KEPT_UNTIL + 2 * INTERVAL_MS]


def test_a_burst_does_not_come_at_once_after_those_that_are_kept(control: ControlStore) -> None:
    limit = with_slots(control, rate=Rate(count=10, period_ms=1000, burst=5))

    closed = control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1)

    assert closed is not None
    assert control.reserve(closed, NOW + 1, 2) == [KEPT_UNTIL + INTERVAL_MS, KEPT_UNTIL + 2 * INTERVAL_MS]


def test_gaps_are_closed_once(control: ControlStore, threads: int) -> None:
    limit = with_slots(control)

    def close(n: int) -> Limit | None:
        return control.close_gaps(replace(limit, kept_until=KEPT_UNTIL + n), NOW + 1)

    with ThreadPoolExecutor(threads) as pool:
        closed = [limit for limit in pool.map(close, range(6)) if limit is not None]

    assert closed == [of(control).limit]


def test_gaps_are_not_closed_by_another_rate_or_where_nothing_would_come_sooner(control: ControlStore) -> None:
    limit = with_slots(control, count=95)
    assert control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1) is None, "reserved until then, no longer"

    control.reserve(limit, NOW, 1000)
    assert control.close_gaps(replace(limit, since=NOW - 1, kept_until=KEPT_UNTIL), NOW + 1) is None
    set_limit(control, Limit(key="a", max_concurrent=3, since=NOW + 1))
    assert control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1) is None
    control.remove_limit("a")
    assert control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1) is None


def test_a_new_rate_has_no_gaps_and_keeps_no_slots(control: ControlStore) -> None:
    limit = with_slots(control)
    control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1)
    control.give_up("a", 7)

    new = Limit(key="a", rate=Rate(count=11, period_ms=1000), since=NOW + 2)
    set_limit(control, new)

    assert of(control) == LimitState(limit=new, in_use=0)


def test_another_number_at_once_leaves_slots_and_gaps_as_they_are(control: ControlStore) -> None:
    limit = with_slots(control)
    closed = control.close_gaps(replace(limit, kept_until=KEPT_UNTIL), NOW + 1)
    control.give_up("a", 7)
    assert closed is not None

    set_limit(control, replace(limit, max_concurrent=3))

    assert of(control).limit == replace(closed, max_concurrent=3), "by who had read it before the gaps were closed, too"
    assert of(control).given_up == 7
