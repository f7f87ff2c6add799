"""docs/reliability.md says what the tests show."""

import os
import re
from pathlib import Path

import pytest

from tests.faults.crash_page import crash_points
from tests.faults.figures import Figures
from tests.faults.page import HEAD, PAGE
from tests.faults.rows import ROWS


def test_every_row_is_one_test() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

    assert sorted(re.findall(r'mark\.row\("([^"]+)"\)', sources)) == sorted(ROWS)


@pytest.mark.skipif(os.environ.get("RELIABILITY") == "write", reason="the page is about to be written")
def test_the_page_has_the_rows_of_the_tests() -> None:
    page = PAGE.read_text()
    assert page.startswith(HEAD)
    assert page.endswith(crash_points()), "RELIABILITY=write pytest tests/faults/test_page.py writes them"
    table = page.removeprefix(HEAD).removesuffix(crash_points())
    lines = [line.strip("|\n ").split(" | ") for line in table.splitlines()]

    assert [tuple(cells[:3]) for cells in lines] == [(row.fault, row.promises, row.how) for row in ROWS.values()]
    assert {tuple(cells[4:6]) for cells in lines} == {("0", "0")}, "lost, doubled"


@pytest.mark.parametrize(("time", "shown"), [(None, "–"), (4_999, "< 5 s"), (5_000, "< 30 s"), (900_000, "longer")])
def test_times_are_shown_in_classes(time: int | None, shown: str) -> None:
    assert Figures(tried=1, lost=0, doubled=0, recovered_ms=time).time == shown


def test_of_many_times_the_middle_and_nearly_the_longest_are_shown() -> None:
    times = (*range(100, 10_000, 100), 100_000)

    found = Figures(tried=100, lost=0, doubled=0, times_ms=times)

    assert (found.percentile_ms(50), found.percentile_ms(99)) == (5_000, 9_900)
    assert found.time == "p50 < 30 s, p99 < 30 s"
