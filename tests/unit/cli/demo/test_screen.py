"""What the demonstration shows while it runs, and its summary."""

import io
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from infra.cli.demo import screen, watch
from infra.cli.demo.summary import Latency, latency, summarize

# -- what is shown -----------------------------------------------------------------------------------------------------


def a_state(ended: int = 3) -> watch.State:
    return watch.State(
        wanted=Counter({5: 4, 1: 6}),
        accepted=9,
        statuses=Counter(completed=ended, pending=9 - ended),
        final=Counter({5: ended}),
    )


def a_view(status: str = "completed", priority: int = 5, waited: int = 1000, total: int = 2000) -> dict[str, Any]:
    return {
        "status": status,
        "priority": priority,
        "created_at": "2026-11-22T10:00:00.000Z",
        "finished_at": f"2026-11-22T10:00:{total / 1000:06.3f}Z",
        "timings": {"waited_ms": waited, "ran_ms": total - waited, "total_ms": total},
    }


def test_bars_show_every_lane_and_status_and_what_it_took() -> None:
    console = Console(file=io.StringIO(), width=100)

    console.print(screen.drawn(a_state(), [a_view()], 2.0))

    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = {line.split("  ")[0]: line.split()[-1] for line in text.splitlines() if line.strip()}
    assert rows["lane 5"] == "3/4"
    assert rows["lane 1"] == "0/6"
    assert (rows["completed"], rows["pending"], rows["failed"]) == ("3/10", "6/10", "0/10")
    assert "expired" not in text
    figures = "2.0 s · 9 accepted · 1.5 a second · waited p50 1.000 s p95 1.000 s · in all p50 2.000 s p95 2.000 s"
    assert figures in text


def test_a_terminal_gets_bars_that_go_at_the_end_and_a_file_gets_lines() -> None:
    for terminal, dumb, bars in ((True, False, True), (True, True, False), (False, False, False)):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        if dumb:
            console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "dumb"})
        with screen.screen(console) as shown:
            shown.note("begin")
            shown.update(a_state(), [a_view()], 1.0)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("━" in text) is bars
        assert ("3 of 10 are final (6 pending, 3 completed)" in text) is not bars
        assert "begin" in text


def test_lines_come_now_and_then_and_at_the_end() -> None:
    console = Console(file=io.StringIO())
    lines = screen.Lines(console)

    for elapsed in (0.0, 0.5, 1.9, 2.0, 3.0):
        lines.update(a_state(), [], elapsed)
    lines.update(a_state(10), [], 3.1)

    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split(" s: ")[0].strip() for line in shown] == ["0.0", "2.0", "3.1"]


# -- the summary -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7], Latency(p50=7, p95=7, p99=7, max=7)),
        ([3, 1, 2], Latency(p50=2, p95=3, p99=3, max=3)),
        (list(range(1, 201)), Latency(p50=100, p95=190, p99=198, max=200)),
    ],
)
def test_percentiles_are_times_that_were_measured(values: list[int], expected: Latency | None) -> None:
    assert latency(values) == expected


def test_a_summary_is_of_what_has_ended() -> None:
    views = [
        a_view(total=4000, waited=100),
        a_view(priority=1, total=2000, waited=1500),
        a_view(status="failed", priority=1, total=1000, waited=500),
        a_view(status="pending"),
    ]

    summary = summarize(views)

    assert (summary.statuses, summary.seconds, summary.per_second) == ({"completed": 2, "failed": 1}, 4.0, 0.75)
    assert summary.everything.total == Latency(p50=2000, p95=4000, p99=4000, max=4000)
    assert (summary.lanes[1].tasks, summary.lanes[1].wait) == (2, Latency(p50=500, p95=1500, p99=1500, max=1500))
    assert (summary.lanes[3].tasks, summary.lanes[3].total) == (0, None)


def test_a_summary_of_nothing() -> None:
    summary = summarize([a_view(status="running")])

    assert (summary.everything.tasks, summary.per_second, summary.as_json()["total_ms"]) == (0, 0.0, None)
