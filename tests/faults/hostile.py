"""The real local run, with task types that misbehave, and what is asked of it from outside."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.e2e.local_run import LocalRun
from tests.faults.figures import Figures
from tests.support.waiting import wait_for

HANDLERS: Final = '''
"""Task types that misbehave."""

import os
import sys
import threading

from pydantic import BaseModel

from tasklane.registry import task


class Amount(BaseModel):
    """How much of it."""

    n: int = 0


@task("leak", timeout_seconds=60)
def leak(payload: Amount) -> int:
    """Start threads and leave them."""
    for _ in range(payload.n):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return os.getpid()


@task("print", timeout_seconds=120)
def print_much(payload: Amount) -> int:
    """Print so many megabytes in lines, and one in a line of its own."""
    for _ in range(payload.n):
        for _ in range(1000):
            print("x" * 1000)
    print("y" * 1_000_000)
    print("to the other stream", file=sys.stderr)
    return payload.n


@task("wide", timeout_seconds=120)
def wide(payload: Amount) -> dict[str, int]:
    """Give a result with so many keys."""
    return {str(number): number for number in range(payload.n)}
'''


@contextmanager
def hostile_run(folder: Path, **environment: str) -> Iterator[LocalRun]:
    """A run that knows these task types, ready; ended at the end of the context."""
    run = LocalRun(folder, **environment)
    (run.functions / "handlers" / "misbehaving.py").write_text(HANDLERS)
    try:
        yield run.start().wait_until_ready()
    finally:
        run.kill()


@contextmanager
def client_of(run: LocalRun) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=run.url, timeout=60) as client:
        yield client


def submit(client: httpx.Client, kind: str, n: int = 0, **fields: Any) -> str:
    answer = client.post("/v1/tasks", json={"type": kind, "payload": {"n": n}, **fields})
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["id"]
    return task_id


def seen(client: httpx.Client, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/tasks/{task_id}").json()
    return found


def ended(client: httpx.Client, task_ids: Sequence[str], seconds: float = 120) -> list[dict[str, Any]]:
    """The tasks, once all are final."""
    left = set(task_ids)

    def are_final() -> bool:
        left.difference_update([one for one in left if seen(client, one)["status"] in ("completed", "failed")])
        return not left

    wait_for(are_final, seconds=seconds)
    return [seen(client, one) for one in task_ids]


def judged(tasks: Sequence[dict[str, Any]]) -> Figures:
    """The figures of tasks that were to need one attempt each."""
    return Figures(
        tried=len(tasks),
        lost=sum(task["status"] not in ("completed", "failed") for task in tasks),
        doubled=sum(task["attempt"] != 1 for task in tasks),
    )


class Memory:
    """Watches how much memory processes take together; ``peak_mb`` is the most that was seen above the beginning."""

    def __init__(self, *words: str) -> None:
        """``words`` are in the command lines of the processes."""
        self.peak_mb = 0.0
        self._words = words
        self._over = threading.Event()
        self._before = self._megabytes()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.peak_mb = max(self.peak_mb, self._megabytes() - self._before)

    def _megabytes(self) -> float:
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "rss=,args="], capture_output=True, text=True, check=True)
        lines = [line for line in listed.stdout.splitlines() if all(word in line for word in self._words)]
        assert lines, self._words
        return sum(int(line.split()[0]) for line in lines) / 1024
