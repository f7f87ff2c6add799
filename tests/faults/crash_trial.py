"""A trial: a process is killed at one crash point, and what is left recovers it, minute by minute."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from api.app import create_app
from tasklane.bootstrap import Services
from tasklane.lease import Holder
from tasklane.task import CallbackState, Task
from tasklane.timing import Timing
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import processes
from tests.faults.receiver import Receiver
from tests.faults.recovery import drain, has_ended
from tests.support.waiting import wait_for

DEPLOYED: Final = {"TASKLANE_RECOVERY_SECONDS": str(Timing().recovery_ms // 1000)}
"""The settings that the times depend on are those of a deployed installation."""
MINUTE_MS: Final = 60_000
"""How often a deployed sweeper comes."""
TASK_MS: Final = 10_000
"""Far more than a task takes here when its time has come."""
ROUNDING_MS: Final = 1_000
"""Queues count in seconds."""
ROUNDS: Final = 30


@dataclass(kw_only=True)
class Trial:
    """One installation, one process that dies."""

    installation: Installation
    services: Services
    """Everybody else: what is left of the installation when the process is dead."""
    receiver: Receiver
    point: str
    answers: Sequence[int] = ()
    """What the receiver answers to a task's first tries; to all others 204."""
    died_at: int = 0

    @property
    def url(self) -> str:
        """Where callbacks go, and where there is something to fetch."""
        return self.receiver.url

    def now(self) -> int:
        return self.installation.clock.now()

    def submit(self, **wish: Any) -> Task:
        """A ``work`` task, accepted and on its lane."""
        (task,) = self.installation.submit(self.services, **wish)
        return task

    def dies(self, actor: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Start a process and let it go on until it dies at the crash point; nothing else may end it."""
        folder = self.installation.folder
        with processes(self.installation, actor, crash_point=self.point) as (process,):
            self.installation.world.open_gate(actor)
            meanwhile()
            wait_for(lambda: process.has_ended)
            assert process.process.exitcode == -9, process.log
        assert (folder / "crashed").read_text() == self.point
        assert not (folder / "unnamed").exists(), "a step without a name"
        self.installation.proxy.wait_until_quiet()
        self.died_at = self.now()

    def dies_of(self, method: str, path: str, **request: Any) -> None:
        """Let the API die of a request, whose caller hears nothing."""

        def ask() -> None:
            with pytest.raises(httpx.TransportError):
                httpx.request(method, f"{self.installation.api}{path}", trust_env=False, timeout=20, **request)

        self.dies("serve", meanwhile=ask)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """What another process of the API answers."""

        async def request_it() -> httpx.Response:
            transport = httpx.ASGITransport(create_app(self.services))
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, **request)

        return asyncio.run(request_it())

    def recover(self, tasks: Sequence[Task]) -> list[Task]:
        """Let workers work, and the sweeper come on the minute, until every task has ended; the tasks."""
        for _ in range(ROUNDS):
            drain(self.services)
            self._work_outside()
            found = self.installation.tasks(tasks)
            if len(found) == len(tasks) and all(map(has_ended, found)):
                return found
            self._pass_time(found)
        raise AssertionError(f"still not ended: {self.installation.tasks(tasks)}")

    def _work_outside(self) -> None:
        """Another external worker does what it finds."""
        found = self.services.fetch((), 10)
        for task in found:
            self.services.leases.complete(task.id, Holder.of(task), "by another external worker")
        if found:
            drain(self.services)

    def _pass_time(self, tasks: Sequence[Task]) -> None:
        """Set the clock ahead to when a message of these may arrive, or to the minute in which one of them is due."""
        now = self.now()
        times = [time for task in tasks for time in (task.run_at, task.callback and task.callback.next_at) if time]
        arrivals = [time + ROUNDING_MS for time in times if time + ROUNDING_MS > now]
        due = min((task.due_at for task in tasks if task.due_at is not None), default=now)
        sweep = (max(due, now) // MINUTE_MS + 1) * MINUTE_MS
        self.installation.clock.advance_to(min([sweep, *arrivals]))
        if self.now() >= sweep:
            self.services.sweep(lambda: 60.0)

    def judge(self, tasks: Sequence[Task], within_ms: int) -> Figures:
        """The figures of the trial, once everything has ended; the times and the callbacks are as promised."""
        begun = max([self.died_at, *(task.run_at or 0 for task in tasks)])
        found = figures(self.installation, tasks, since=begun)
        assert (found.recovered_ms or 0) < within_ms + TASK_MS
        for task in self.installation.tasks(tasks):
            state = task.callback.state if task.callback else None
            delivered = 204 in self.receiver.answered[task.id]
            assert state in (None, CallbackState.DELIVERED if delivered else CallbackState.UNDELIVERED)
        return found
