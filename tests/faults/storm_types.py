"""The task types of the storm, besides those that all these tests have: what a handler may do, and what keeps it."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from tasklane.context import TaskContext
from tasklane.errors import Continue
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tests.faults.clock import VARIABLE, SharedClock

STAGES: Final = 3
GATE: Final = "gate"
PACE: Final = "pace"
AT_ONCE: Final = 3
PER_SECOND: Final = 5
AT_WORK_SECONDS: Final = 0.05


class Numbered(BaseModel):
    number: int
    pad: str = ""


class Fetch(Numbered):
    """What to fetch."""

    url: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """A handler's work, from its beginning to its end (None: it was killed), as the machine's clock tells them."""

    began: float
    ended: float | None
    pid: int


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What handlers of all processes note in a folder: who was at work when, and when starts were."""

    folder: Path

    def note(self, name: str, *words: object) -> None:
        # One write of one line to a file opened for appending is whole, whoever else writes.
        file = os.open(self.folder / f"notes-{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, (" ".join(map(str, words)) + "\n").encode())
        finally:
            os.close(file)

    def read(self, name: str) -> list[list[str]]:
        path = self.folder / f"notes-{name}"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def spans(self) -> list[Span]:
        """Who was inside the gate."""
        ends = {run: float(at) for run, at, _ in self.read("left")}
        return [Span(began=float(at), ended=ends.get(run), pid=int(pid)) for run, at, pid in self.read("entered")]

    def starts(self) -> list[int]:
        """When those that are paced began (Unix milliseconds), by the installation's clock."""
        return sorted(int(at) for (at,) in self.read(PACE))


def add_storm_types(registry: Registry, folder: Path) -> None:
    """Register them."""
    notes = Notes(folder=folder)

    @registry.task("gated", timeout_seconds=30, retry=RetryPolicy(base_seconds=0))
    def gated(payload: Numbered, context: TaskContext) -> int:
        run = f"{context.task_id}/{time.monotonic_ns()}"
        notes.note("entered", run, time.monotonic(), os.getpid())
        time.sleep(AT_WORK_SECONDS)
        notes.note("left", run, time.monotonic(), os.getpid())
        return payload.number

    @registry.task("paced", timeout_seconds=30, retry=RetryPolicy(base_seconds=0))
    def paced(payload: Numbered) -> int:
        notes.note(PACE, SharedClock(path=Path(os.environ[VARIABLE])).now())
        return payload.number

    @registry.task("stages", timeout_seconds=30, retry=RetryPolicy(base_seconds=0))
    def stages(payload: Numbered, context: TaskContext) -> list[int]:
        done: list[int] = (context.state or {"done": []})["done"]
        if len(done) < STAGES:
            raise Continue({"done": [*done, payload.number], "pad": payload.pad})
        return done

    @registry.task("overruns", timeout_seconds=1, retry=RetryPolicy(base_seconds=0))
    async def overruns(payload: Numbered) -> None:
        await asyncio.Event().wait()

    @registry.task("patient", timeout_seconds=30, retry=RetryPolicy(base_seconds=0))
    async def patient(payload: Numbered) -> None:
        """Works until it is called off."""
        await asyncio.Event().wait()

    @registry.task("late", timeout_seconds=30)
    def late(payload: Numbered) -> int:
        return payload.number

    @registry.task("fetches", timeout_seconds=30, retry=RetryPolicy(max_attempts=2, base_seconds=0))
    def fetches(payload: Fetch, context: TaskContext) -> int:
        return len(context.download(payload.url, max_bytes=1000).body)
