"""PERSIST=1 keeps tasks from run to run, and AWS_ENDPOINT_URL uses an engine that runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from infra.local import engine
from infra.local.engine import free_port
from tests.e2e.local_run import LocalRun, is_listening, local_run, result_of, submit
from tests.support.waiting import PATIENCE_SECONDS, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.mark.long
def test_tasks_outlive_a_run_that_persists(tmp_path: Path) -> None:
    with local_run(tmp_path, PERSIST="1") as run, httpx.Client(base_url=run.url, timeout=30) as client:
        large = {"text": "x" * 100_000}
        done = submit(client, type="echo", payload=large)
        assert result_of(client, done) == large
        waiting = submit(client, type="echo", payload={"later": True}, delay_seconds=5)
        assert run.interrupt() == 0

    engine_port = str(run.engine_port)
    with (
        local_run(tmp_path, PERSIST="1", ENGINE_PORT=engine_port) as run,
        httpx.Client(base_url=run.url, timeout=30) as client,
    ):
        assert client.get(f"/v1/tasks/{done}").json()["status"] == "completed"
        assert client.get(f"/v1/tasks/{done}/result").json() == large
        assert result_of(client, waiting) == {"later": True}
        assert run.interrupt() == 0
        run.assert_nothing_left()


@pytest.mark.long
def test_kept_state_of_another_port_is_one_sentence(tmp_path: Path) -> None:
    run = LocalRun(tmp_path, PERSIST="1")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "port").write_text("4566")
    try:
        assert run.start().process.wait(PATIENCE_SECONDS) != 0
        wait_for(lambda: "belongs to ENGINE_PORT=4566" in run.output, "the sentence")
        run.assert_nothing_left()
    finally:
        run.kill()


@pytest.mark.long
def test_uses_the_engine_that_the_environment_names(tmp_path: Path) -> None:
    scratch = tmp_path / "own-engine"
    scratch.mkdir()
    with engine.running(port=free_port(), scratch=scratch) as own:
        own.wait_until_ready()
        run = LocalRun(tmp_path, AWS_ENDPOINT_URL=own.target.endpoint)
        try:
            run.start().wait_until_ready()
            assert not is_listening(run.engine_port), "it started an engine of its own"
            with httpx.Client(base_url=run.url, timeout=30) as client:
                assert result_of(client, submit(client, type="FibonacciTask", payload={"n": 10})) == {"result": 55}
            assert run.interrupt() == 0
            assert not own.child.has_ended
        finally:
            run.kill()
