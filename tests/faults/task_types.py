"""The handlers that the tests run. What they do to the world is a line in a file, so that effects can be counted."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from tasklane.context import TaskContext
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tests.faults.storm_types import add_storm_types

GATE_SECONDS = 120.0
POLL_SECONDS = 0.01
LARGE = 6000
"""Characters of a document that is too large for a record."""


class Work(BaseModel):
    """``hold``, ``crash`` and ``fail`` say in which attempts (as far as that number) it waits at its gate, takes the
    process down, or raises; ``say``: with a word about its progress; ``ask``: and asks whether it was called off."""

    number: int
    say: bool = False
    ask: bool = False
    hold: int = 0
    crash: int = 0
    fail: int = 0
    pad: str = ""


class Errand(BaseModel):
    """What to fetch."""

    url: str


class Done(BaseModel):
    square: int
    attempt: int
    pad: str = ""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One line of the effects: a handler began."""

    task_id: str
    attempt: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class World:
    """What handlers change and what they wait for, in a folder that all processes share."""

    folder: Path

    def note(self, task_id: str, attempt: int) -> None:
        # One write of one line to a file opened for appending is whole, whoever else writes.
        file = os.open(self.folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{task_id} {attempt} {os.getpid()}\n".encode())
        finally:
            os.close(file)

    def effects(self, task_id: str | None = None) -> list[Effect]:
        path = self.folder / "effects"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [Effect(task_id=a, attempt=int(b), pid=int(c)) for a, b, c in (line.split() for line in lines)]
        return [one for one in found if task_id in (None, one.task_id)]

    def note_in_hand(self, count: int) -> None:
        """Say how many messages this process has in hand."""
        new = self.folder / f"new-in-hand-{os.getpid()}"
        new.write_text(str(count))
        new.rename(self.folder / f"in-hand-{os.getpid()}")

    @property
    def somebody_is_busy(self) -> bool:
        """True while a process that lives has a message in hand."""
        notes = self.folder.glob("in-hand-*")
        return any(int(note.read_text()) and _lives(int(note.name.rpartition("-")[2])) for note in notes)

    def open_gate(self, task_id: str) -> None:
        (self.folder / f"gate-{task_id}").touch()

    def wait_at_gate(self, task_id: str) -> None:
        gate, patience = self.folder / f"gate-{task_id}", threading.Event()
        for _ in range(int(GATE_SECONDS / POLL_SECONDS)):
            if gate.exists():
                return
            patience.wait(POLL_SECONDS)
        raise TimeoutError("nobody opened the gate")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def task_types(world: World) -> Registry:
    """The types ``work`` (plain), ``async-work``, ``errand``, two that end badly, one that never ends, the storm's."""
    registry = Registry()

    # Without a pause a retry is sent without a delay, which would pass in the engine's time and not in the tests'.
    @registry.task("work", timeout_seconds=30, retry=RetryPolicy(max_attempts=4, base_seconds=0))
    def work(payload: Work, context: TaskContext) -> Done:
        world.note(context.task_id, context.attempt)
        if context.attempt <= payload.crash:
            os._exit(86)
        if payload.say:
            context.progress(0.5, "at it")
        if payload.ask:
            context.raise_if_cancelled()
        if context.attempt <= payload.hold:
            world.wait_at_gate(context.task_id)
        if context.attempt <= payload.fail:
            raise OSError("the disk is full")
        return Done(square=payload.number**2, attempt=context.attempt, pad=payload.pad)

    @registry.task("async-work", timeout_seconds=30, retry=RetryPolicy(max_attempts=4, base_seconds=0.5))
    async def async_work(payload: Work, context: TaskContext) -> Done:
        return work(payload, context)

    @registry.task("errand", timeout_seconds=30, retry=RetryPolicy(max_attempts=9, base_seconds=0))
    def errand(payload: Errand, context: TaskContext) -> int:
        """Uses everything that a handler is given; it fails once, in order to find its state again."""
        if (state := context.state) is not None:
            return len(state["fetched"])
        content = context.download(payload.url, max_bytes=100_000).body
        context.keep_file("content", content)
        context.send_mail("somebody@example.com", "Fetched", "It is there.")
        context.checkpoint({"fetched": "x" * LARGE})
        raise OSError("the disk is full")

    _ends_badly(registry, world)
    add_storm_types(registry, world.folder)
    return registry


def _ends_badly(registry: Registry, world: World) -> None:
    @registry.task("bad-result", timeout_seconds=30)
    def bad_result(payload: Work) -> dict[str, object]:
        return {"no JSON": object()}

    @registry.task("raises-exit", timeout_seconds=30, retry=RetryPolicy(max_attempts=2, base_seconds=0))
    def raises_exit(payload: Work) -> Done:
        raise SystemExit(payload.number)

    @registry.task("stuck", timeout_seconds=1, retry=RetryPolicy(max_attempts=1))
    def stuck(payload: Work, context: TaskContext) -> None:
        world.note(context.task_id, context.attempt)
        threading.Event().wait()
