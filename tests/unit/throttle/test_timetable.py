"""What is free of a key's time, and the first moment that several keys have in common."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane import timetable
from tasklane.throttle import Rate
from tasklane.timetable import Changed, Full, Granted, SlotRequest, Timetable, reserve

SECOND = 1_000_000
TEN = Rate(count=10, period_ms=1000)
FIVE = Rate(count=5, period_ms=1000)
I10, I5 = 105_000, 210_000


def granted(tables: dict[str, Timetable], *requests: SlotRequest) -> list[int]:
    answers = reserve(tables, requests)
    assert all(isinstance(answer, Granted) for answer in answers)
    return [answer.at for answer in answers if isinstance(answer, Granted)]


def asks(*keys: str, at: int = 0) -> SlotRequest:
    return SlotRequest(keys=keys, at=at)


# -- one timetable -----------------------------------------------------------------------------------------------------


def test_starts_follow_one_another() -> None:
    table = Timetable(TEN)

    assert granted({"a": table}, *[asks("a")] * 3) == [0, 105, 210]
    assert (table.next_at, table.free) == (3 * I10, [])


def test_a_start_that_comes_later_leaves_what_is_before_it_free() -> None:
    table = Timetable(TEN)
    table.take(SECOND)

    assert (table.free, table.next_at) == ([(0, SECOND)], SECOND + I10)
    assert granted({"a": table}, *[asks("a")] * 11) == [*(n * 105 for n in range(9)), 1105, 1210]


def test_a_start_in_between_leaves_both_sides_and_nothing_that_is_too_short() -> None:
    table = Timetable(TEN)
    table.take(SECOND)

    table.take(I10)
    assert table.free == [(0, I10), (2 * I10, SECOND)]
    table.take(2 * I10 + 1)
    assert table.free == [(0, I10), (3 * I10 + 1, SECOND)], "a microsecond is not enough for anybody"
    table.take(0)
    assert table.free == [(3 * I10 + 1, SECOND)]


def test_what_is_over_is_not_free() -> None:
    table = Timetable(TEN, 3 * SECOND, [(0, SECOND), (SECOND + I10, 2 * SECOND)], now=SECOND + 4 * I10)

    assert (table.free, table.next_at) == ([(SECOND + 4 * I10, 2 * SECOND)], 3 * SECOND)
    assert Timetable(TEN, SECOND, [], now=5 * SECOND).next_at == 5 * SECOND


@pytest.mark.parametrize("burst", [1, 3])
def test_with_one_key_it_is_the_virtual_scheduling_algorithm(burst: int) -> None:
    rate = Rate(count=10, period_ms=1000, burst=burst)
    table, base = Timetable(rate), 0
    for now in (0, 1, 50, 900, 901, 5000, 5001):
        base = max(base, now * 1000)
        assert granted({"a": table}, *[asks("a", at=now)] * 4) == rate.starts(base, now * 1000, 4)
        base += 4 * rate.interval_us


# -- several keys ------------------------------------------------------------------------------------------------------


def test_a_start_is_when_all_keys_are_free_and_time_in_between_is_for_others() -> None:
    tables = {"all": Timetable(TEN), "a": Timetable(FIVE), "b": Timetable(FIVE)}

    assert granted(tables, *[asks("all", "a")] * 3) == [0, 210, 420]
    assert granted(tables, *[asks("all", "b")] * 3) == [105, 315, 525]
    assert granted(tables, *[asks("all")] * 2) == [630, 735]


def test_who_waits_for_a_slow_key_keeps_nobody_waiting_who_does_not_name_it() -> None:
    tables = {"all": Timetable(TEN), "slow": Timetable(Rate(count=1, period_ms=60_000))}
    granted(tables, *[asks("all", "slow")] * 100)

    assert granted(tables, *[asks("all")] * 3) == [105, 210, 315]


def test_a_slot_says_which_key_a_task_waits_for() -> None:
    tables = {"all": Timetable(TEN), "a": Timetable(FIVE)}

    assert reserve(tables, [asks("all", "a")] * 2)[1] == Granted(210, "a")
    granted(tables, *[asks("all")] * 50)
    answer = reserve(tables, [asks("all", "a")])[0]
    assert isinstance(answer, Granted)
    assert answer.key == "all"


def test_an_unknown_key_gets_nothing_and_the_others_go_on() -> None:
    tables = {"all": Timetable(TEN)}

    assert reserve(tables, [asks("all", "gone"), asks("all")]) == [Changed("gone"), Granted(0, "all")]


rates = st.builds(
    Rate, count=st.integers(1, 30), period_ms=st.sampled_from([1000, 7000, 60_000]), burst=st.integers(1, 3)
)


@given(st.lists(rates, min_size=3, max_size=3), st.integers(0, 2**32))
def test_no_key_has_more_starts_than_its_rate_allows_whoever_asks(some: list[Rate], seed: int) -> None:
    rng = random.Random(seed)
    tables = {str(n): Timetable(rate) for n, rate in enumerate(some)}
    starts: dict[str, list[int]] = {key: [] for key in tables}
    now = 0
    for _ in range(60):
        now += rng.choice([0, 0, 0, 50, 2000])
        keys = tuple(rng.sample(sorted(tables), rng.randint(1, 3)))
        tables = {
            key: Timetable(table.rate, table.next_at, table.free, now=now * 1000) for key, table in tables.items()
        }
        (at,) = granted(tables, asks(*keys, at=now))
        assert at >= now
        for key in keys:
            starts[key].append(at)
    for key, times in starts.items():
        rate = tables[key].rate
        for (first, begin), (last, end) in itertools.combinations(enumerate(sorted(times)), 2):
            apart_us = (last - first - (rate.burst - 1)) * rate.interval_us
            assert (end - begin + 1) * 1000 > apart_us, f"{sorted(times)} are too many by {rate}"


# -- who has a slot by some of them ------------------------------------------------------------------------------------

SLOW = Rate(count=1, period_ms=60_000)


def test_who_is_late_by_a_fast_rate_keeps_the_slot_of_a_slow_one() -> None:
    tables = {"fast": Timetable(TEN), "slow": Timetable(SLOW)}
    granted(tables, *[asks("slow")] * 100)
    next_at = tables["slow"].next_at
    late = SlotRequest(keys=("fast", "slow"), at=1000, held_at=800, held_by=("slow",))

    assert reserve(tables, [late]) == [Granted(1000, "slow", first=800)]
    assert tables["slow"].next_at == next_at


def test_not_where_a_start_would_be_later_than_one_by_that_slot_may_be() -> None:
    """It would come together with those whose slots are behind."""
    tables = {"fast": Timetable(TEN), "slow": Timetable(SLOW)}
    granted(tables, *[asks("slow")] * 2)
    granted(tables, *[asks("fast")] * 800)
    late = SlotRequest(keys=("fast", "slow"), at=1000, held_at=800, held_by=("slow",))

    assert reserve(tables, [late]) == [Granted(126_000, "slow")]


def test_nor_where_he_has_kept_it_before_and_would_be_later_than_that_altogether() -> None:
    """Counted from the last start that he has missed, he would be later each time, and meet those behind at last."""
    tables = {"fast": Timetable(TEN), "slow": Timetable(SLOW)}
    granted(tables, *[asks("slow")] * 3)
    granted(tables, *[asks("fast")] * 500)
    again = SlotRequest(keys=("fast", "slow"), at=1000, held_at=900, held_first=-20_000, held_by=("slow",))

    assert reserve(tables, [again]) == [Granted(189_000, "slow")]


def test_who_can_start_sooner_gives_up_what_he_has() -> None:
    tables = {"a": Timetable(TEN), "b": Timetable(FIVE)}
    tables["b"].take(9 * SECOND)
    sooner = SlotRequest(keys=("a", "b"), at=0, held_at=9000, held_by=("b",))

    assert reserve(tables, [sooner]) == [Granted(0, "a")]
    assert (tables["a"].given_up, tables["b"].given_up) == (0, 1)


def test_who_cannot_keeps_it() -> None:
    tables = {"a": Timetable(TEN), "b": Timetable(FIVE)}
    granted(tables, *[asks("b")] * 100)
    kept = SlotRequest(keys=("a", "b"), at=0, held_at=9000, held_by=("b",))

    assert reserve(tables, [kept]) == [Granted(9000, "b")]
    assert (tables["a"].free, tables["a"].next_at) == ([(0, 9 * SECOND)], 9 * SECOND + I10)
    assert not tables["b"].given_up


def test_who_has_it_by_all_keys_may_get_a_sooner_one_or_takes_nothing() -> None:
    tables = {"a": Timetable(TEN)}
    has = SlotRequest(keys=("a",), at=0, held_at=500, held_by=("a",))

    assert reserve(tables, [has]) == [Granted(0, "a")]
    granted(tables, *[asks("a")] * 100)
    tables["a"].is_changed = False
    assert reserve(tables, [has]) == [Granted(500, "a")]
    assert not tables["a"].is_changed


# -- how much is kept --------------------------------------------------------------------------------------------------


def test_a_timetable_that_is_full_gives_nothing_that_leaves_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "MAX_RANGES", 3)
    monkeypatch.setattr(timetable, "NEAR_US", 0)
    tables = {"all": Timetable(TEN), "slow": Timetable(SLOW), "other": Timetable(SLOW)}
    granted(tables, *[asks("all", "slow")] * 4)
    before = tables["slow"].next_at

    assert reserve(tables, [asks("all", "slow")]) == [Full("slow")]
    assert (tables["slow"].next_at, len(tables["all"].free)) == (before, 3)
    assert granted(tables, asks("all", "other"), asks("all")) == [105, 210], "what is free may be taken"
    later = Timetable(TEN, tables["all"].next_at, tables["all"].free, now=70 * SECOND)
    assert granted({**tables, "all": later}, asks("all", "slow", at=70_000)) == [252_000]
