"""Shows a demonstration while it runs: live bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.cli.demo.plan import LANES
from infra.cli.demo.summary import latency
from infra.cli.output import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from infra.cli.client import Task
    from infra.cli.demo.watch import State

BAR = 40
LINE_SECONDS = 2.0
STATUSES = {
    "scheduled": "yellow",
    "pending": "yellow",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
    "expired": "magenta",
}
ALWAYS = ("pending", "running", "completed", "failed")


class Screen(Protocol):
    """What shows the demonstration."""

    def note(self, text: str) -> None:
        """Say something."""

    def update(self, state: State, tasks: Sequence[Task], elapsed: float) -> None:
        """Show how far it is, ``elapsed`` seconds after its begin."""


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """Give what shows a demonstration on this console."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield Bars(live)


class Lines:
    """Plain lines, at most one in two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def note(self, text: str) -> None:
        """See Screen."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, state: State, tasks: Sequence[Task], elapsed: float) -> None:
        """See Screen."""
        del tasks
        if elapsed < self._next and state.ended < state.total:
            return
        self._next = elapsed + LINE_SECONDS
        counts = ", ".join(f"{count} {status}" for status, count in state.statuses.most_common())
        self.note(f"{elapsed:5.1f} s: {state.ended} of {state.total} are final ({counts or 'none seen yet'})")


class Bars:
    """Bars per lane and per status, throughput and percentiles, in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def note(self, text: str) -> None:
        """See Screen."""
        self._live.console.print(text, markup=False, highlight=False)

    def update(self, state: State, tasks: Sequence[Task], elapsed: float) -> None:
        """See Screen."""
        self._live.update(drawn(state, tasks, elapsed))


def drawn(state: State, tasks: Sequence[Task], elapsed: float) -> RenderableType:
    """Give how far it is as a picture."""
    rows = Table.grid(padding=(0, 2))
    for lane in LANES:
        rows.add_row(f"lane {lane}", *_bar(state.final[lane], state.wanted[lane], "blue"))
    rows.add_row("")
    for status, colour in STATUSES.items():
        if state.statuses[status] or status in ALWAYS:
            rows.add_row(status, *_bar(state.statuses[status], state.total, colour))
    return Group(rows, Text(""), Text(_figures(state, tasks, elapsed)))


def _bar(done: int, total: int, colour: str) -> tuple[RenderableType, str]:
    bar = ProgressBar(total=max(total, 1), completed=done, width=BAR, complete_style=colour, finished_style=colour)
    return bar, f"{done}/{total}"


def _figures(state: State, tasks: Sequence[Task], elapsed: float) -> str:
    figures = [f"{elapsed:.1f} s", f"{state.accepted} accepted", f"{state.ended / max(elapsed, 0.1):.1f} a second"]
    timings = [task["timings"] for task in tasks]
    for words, name in (("waited", "waited_ms"), ("in all", "total_ms")):
        measured = latency([one[name] for one in timings if one[name] is not None])
        if measured:
            figures.append(f"{words} p50 {seconds(measured.p50)} p95 {seconds(measured.p95)}")
    return " · ".join(figures)
