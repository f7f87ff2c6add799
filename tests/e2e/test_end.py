"""However the run ends, nothing of it stays: no process, no port, no file."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.local_run import LocalRun, is_listening, local_run, result_of, submit
from tests.support.waiting import PATIENCE_SECONDS, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ends_at_once_with_0_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    with local_run(tmp_path) as run, httpx.Client(base_url=run.url, timeout=30) as client:
        assert result_of(client, submit(client, type="echo", payload={"a": 1})) == {"a": 1}

        assert run.interrupt(signum) == 0

        assert run.output.rstrip().endswith("Stopped.")
        assert "Traceback" not in run.output
        run.assert_nothing_left()


def test_an_interrupt_while_it_starts_ends_it_too(tmp_path: Path) -> None:
    run = LocalRun(tmp_path).start()
    try:
        wait_for(lambda: is_listening(run.port), "the API's port")

        assert run.interrupt() == 0

        assert "Traceback" not in run.output
        run.assert_nothing_left()
    finally:
        run.kill()


@pytest.mark.long
def test_nothing_of_it_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    with local_run(tmp_path) as run, httpx.Client(base_url=run.url, timeout=30) as client:
        result_of(client, submit(client, type="echo", payload={}))

        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()

        wait_for(lambda: not is_listening(run.engine_port) and not is_listening(run.port), "the end of its children")
        wait_for(lambda: not list(run.scratch.iterdir()), "the end of its files")
        run.assert_nothing_left()


def refusal(run: LocalRun) -> list[str]:
    """The lines that a run says which cannot start."""
    try:
        assert run.start().process.wait(PATIENCE_SECONDS) != 0
        wait_for(lambda: run.output, "the sentence")
    finally:
        run.kill()
    return run.output.splitlines()


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, shared_run: LocalRun) -> None:
    second = LocalRun(tmp_path)
    second.port = shared_run.port

    assert refusal(second) == [
        (
            f"Port {shared_run.port} is taken: end what listens there or choose another one "
            f"(make run PORT={shared_run.port + 1})."
        )
    ]
    second.port = second.engine_port
    second.assert_nothing_left()


def test_an_engine_port_that_is_taken_is_one_sentence(tmp_path: Path, shared_run: LocalRun) -> None:
    second = LocalRun(tmp_path)
    second.engine_port = shared_run.engine_port

    (sentence,) = refusal(second)
    assert f"make run ENGINE_PORT={shared_run.engine_port + 1}" in sentence
    assert list(second.scratch.iterdir()) == []
