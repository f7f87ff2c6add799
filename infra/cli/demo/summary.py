"""What came of a demonstration: throughput, and how long tasks waited and took."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.cli.client import FINAL
from infra.cli.demo.plan import LANES
from infra.cli.output import print_columns, say, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cli.client import Task


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Percentiles in milliseconds, each a time that was measured (nearest rank)."""

    p50: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True, kw_only=True)
class Share:
    """The tasks of one lane, or all of them. ``wait`` and ``total`` are None where no task has come so far."""

    tasks: int
    wait: Latency | None
    """From a task's creation to its last start."""
    total: Latency | None
    """From its creation to its end."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What came of all tasks that are final."""

    statuses: Counter[str]
    seconds: float
    """From the first creation to the last end, by the installation's clock."""
    per_second: float
    """Ended tasks a second over that time."""
    everything: Share
    lanes: dict[int, Share]

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON can say it."""
        return {
            "tasks": self.everything.tasks,
            "statuses": dict(self.statuses),
            "seconds": round(self.seconds, 3),
            "per_second": round(self.per_second, 2),
            "wait_ms": self.everything.wait and asdict(self.everything.wait),
            "total_ms": self.everything.total and asdict(self.everything.total),
            "lanes": {str(lane): asdict(share) for lane, share in self.lanes.items()},
        }

    def print(self) -> None:
        """Print it for people."""
        many = f"{self.everything.tasks} task{'s' if self.everything.tasks != 1 else ''}"
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        say(f"{many} in {self.seconds:.1f} s, {self.per_second:.1f} a second: {counts}.")
        say("")
        rows = [("all", self.everything), *((f"lane {lane}", share) for lane, share in self.lanes.items())]
        header = ("", "TASKS", "WAITED P50", "P95", "P99", "IN ALL P50", "P95", "P99")
        print_columns(header, ([name, share.tasks, *_cells(share)] for name, share in rows))


def summarize(tasks: Sequence[Task]) -> Summary:
    """Give what came of those of the tasks that are final."""
    ended = [task for task in tasks if task["status"] in FINAL]
    span = (max(map(_end, ended)) - min(map(_start, ended))) if ended else 0.0
    return Summary(
        statuses=Counter(task["status"] for task in ended),
        seconds=span,
        per_second=len(ended) / span if span else 0.0,
        everything=_share(ended),
        lanes={lane: _share([task for task in ended if task["priority"] == lane]) for lane in LANES},
    )


def latency(milliseconds: Sequence[int]) -> Latency | None:
    """Give the percentiles; None of nothing."""
    if not milliseconds:
        return None
    ordered = sorted(milliseconds)

    def rank(percent: int) -> int:
        return ordered[math.ceil(percent / 100 * len(ordered)) - 1]

    return Latency(p50=rank(50), p95=rank(95), p99=rank(99), max=ordered[-1])


def _share(ended: Sequence[Task]) -> Share:
    timings = [task["timings"] for task in ended]
    return Share(
        tasks=len(ended),
        wait=latency([one["waited_ms"] for one in timings if one["waited_ms"] is not None]),
        total=latency([one["total_ms"] for one in timings if one["total_ms"] is not None]),
    )


def _cells(share: Share) -> list[str | None]:
    measured = (share.wait, share.total)
    return [seconds(value) for one in measured for value in ((one.p50, one.p95, one.p99) if one else (None,) * 3)]


def _start(task: Task) -> float:
    return datetime.fromisoformat(task["created_at"]).timestamp()


def _end(task: Task) -> float:
    return datetime.fromisoformat(task["finished_at"]).timestamp()
