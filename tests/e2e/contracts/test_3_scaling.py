"""Contract 3: workers scale out. The same jobs with one worker process and with three."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from infra.local.installation import installation
from infra.local.terminal import Terminal
from tests.e2e.contracts.polling import poll
from tests.support.runs import Run, most_at_once
from worker.poller import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]

JOBS = 3 * BATCH
STEPS = {"steps": 2, "step_seconds": 1}
"""Long enough that whoever is free comes for other jobs meanwhile, on a busy machine too."""


def runs(workers: int) -> list[Run]:
    """The jobs, with so many workers at work."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        terminal = Terminal(Console(file=nowhere))
        with installation(workers=workers, terminal=terminal, output=nowhere) as running:
            assert len({worker.process.pid for worker in running.workers}) == workers
            with httpx.Client(base_url=running.url, timeout=30) as client:
                return done(client, [execute(client, f"job {number}") for number in range(JOBS)])


def execute(client: httpx.Client, name: str) -> str:
    body = {"name": name, "parameters": STEPS, "callback_url": "http://127.0.0.1:9/nobody-listens"}
    answer = client.post("/api/tasks", json=body)
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def done(client: httpx.Client, task_ids: Sequence[str]) -> list[Run]:
    for task_id in task_ids:
        state = poll(client, f"/api/tasks/{task_id}/state", lambda one: one["status"] in ("COMPLETED", "FAILED"))
        assert (state["status"], state["progress"]) == ("COMPLETED", 1)
    tasks: list[dict[str, Any]] = client.get("/v1/tasks", params={"limit": 100}).json()["tasks"]
    assert sorted(one["id"] for one in tasks) == sorted(task_ids)
    assert {one["attempt"] for one in tasks} == {1}, "nobody did the work of another one again"
    return [(datetime.fromisoformat(one["started_at"]), datetime.fromisoformat(one["finished_at"])) for one in tasks]


def test_with_more_workers_more_jobs_run_at_once() -> None:
    alone, together = most_at_once(runs(1)), most_at_once(runs(3))

    assert alone <= BATCH, "a worker runs one batch at a time"
    assert together > BATCH, "more than any one worker runs: several take part"
