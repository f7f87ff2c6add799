"""Processes that a test starts, freezes and kills; forked from a warm server, so that starting one is cheap."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tasklane.bootstrap import Services
from tasklane.task import Task
from tests.faults import crash
from tests.faults.actors import play
from tests.faults.installation import Installation
from tests.support.waiting import wait_for

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.actors", "boto3", "tasklane.adapters.dynamodb", "tasklane.adapters.sqs"])


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process that plays one of the ``actors``."""

    process: ForkServerProcess
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def log(self) -> str:
        path = self.folder / f"log-{self.pid}"
        return path.read_text() if path.exists() else ""

    @property
    def has_ended(self) -> bool:
        return not self.process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself; None: it has not."""
        return self.process.exitcode

    def kill(self) -> None:
        """SIGKILL: no handler of it runs, no connection is closed in order. Any thread may call it.

        Only the test's own thread may ask how it ended: a second reader would find that answer gone.
        """
        self.process.kill()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def start(installation: Installation, actor: str = "work", *, skew_ms: int = 0, crash_point: str = "") -> Process:
    """A new process, waiting at the gate of its name. Its clock goes ``skew_ms`` ahead of everybody else's.

    At its crash point, if it has one, it kills itself.
    """
    folder = installation.folder
    environment = {**installation.environment, "FAULTS_SKEW_MS": str(skew_ms), crash.VARIABLE: crash_point}
    process = _context.Process(target=play, args=(actor, folder, environment), daemon=True)
    process.start()
    started = Process(process=process, folder=folder)
    wait_for(lambda: (folder / f"gate-ready-{started.pid}").exists() or started.has_ended)
    return started


@contextmanager
def workers(installation: Installation, count: int = 1, *, actor: str = "work") -> Iterator[list[Process]]:
    """That many workers at work; they are killed at the end, and what was added to the list with them."""
    with processes(installation, *[actor] * count) as started:
        installation.world.open_gate("work")
        yield started


@contextmanager
def ten_held(installation: Installation, services: Services) -> Iterator[tuple[Process, list[Task]]]:
    """A worker, and ten tasks that it has begun and that wait at their gates."""
    tasks = installation.submit(services, numbers=range(10), hold=1)
    with workers(installation) as (worker,):
        wait_for(lambda: len(installation.world.effects()) == len(tasks))
        yield worker, tasks


@contextmanager
def processes(installation: Installation, *actors: str, crash_point: str = "") -> Iterator[list[Process]]:
    """A process for each of ``actors``; whatever is left of them is killed at the end."""
    started: list[Process] = []
    try:
        for actor in actors:
            started.append(start(installation, actor, crash_point=crash_point))  # noqa: PERF401 - what was started must be ended
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.process.join()
