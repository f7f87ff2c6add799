"""Handlers that never end, in the functions themselves and in the DEBUG run: what they wear out is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.local_run import LocalRun, result_of, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]

HANDLERS = '''
"""One that never ends, and one that tells which process it runs in."""

import os
import threading

from pydantic import BaseModel

from tasklane.registry import task


class Nothing(BaseModel):
    """Nothing."""


@task("stuck", timeout_seconds=1)
def stuck(payload: Nothing) -> None:
    """Wait for ever."""
    threading.Event().wait()


@task("pid")
def pid(payload: Nothing) -> int:
    """Tell the process."""
    return os.getpid()
'''


@pytest.mark.parametrize(("debug", "count"), [("", 40), ("1", 5)], ids=["functions", "DEBUG"])
def test_a_worn_out_worker_gives_way_to_a_fresh_one(tmp_path: Path, debug: str, count: int) -> None:
    """Without DEBUG several processes share the tasks: of 40 at least one gets five, and all that get five end."""
    run = LocalRun(tmp_path, DEBUG=debug)
    (run.functions / "handlers" / "mine.py").write_text(HANDLERS)
    try:
        run.start().wait_until_ready()
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(base_url=run.url, timeout=60, transport=transport, headers={"connection": "close"}) as client:
            before = result_of(client, submit(client, type="pid", payload={}))
            stuck = [submit(client, type="stuck", payload={}, max_attempts=1) for _ in range(count)]
            wait_for(lambda: "handlers go on after their time" in run.output, "the word that it is worn out")

            def has_failed(task_id: str) -> bool:
                try:
                    return bool(client.get(f"/v1/tasks/{task_id}").json()["status"] == "failed")
                except httpx.TransportError:  # the process that is replaced
                    return False

            wait_for(lambda: all(map(has_failed, stuck)), "the outcomes")
            if debug:
                wait_for(lambda: "another one takes its place" in run.output, "another process")
            after = [result_of(client, submit(client, type="pid", payload={})) for _ in range(20)]
            assert all(after), "the lane is worked on as before"
            assert not debug or before not in after
    finally:
        run.kill()
