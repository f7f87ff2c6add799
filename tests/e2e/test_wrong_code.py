"""A handler that is wrong when the run starts: one sentence says where, and the run is ready once it is mended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.local_run import READY, LocalRun, result_of, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]

WRONG = """\
from tasklane.registry import task


@task("mine")
def mine(n):
    return n
"""
MENDED = """\
from pydantic import BaseModel

from tasklane.registry import task


class Number(BaseModel):
    n: int


@task("mine")
def mine(payload: Number) -> int:
    return payload.n
"""


def test_a_wrong_handler_is_named_in_one_sentence_and_the_run_is_ready_once_it_is_mended(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    handler = run.functions / "handlers" / "mine.py"
    handler.write_text(WRONG)
    run.start()
    try:
        wait_for(lambda: "The API did not start with this code" in run.output, "the end of the start")
        assert "functions/handlers/mine.py:4: the handler of 'mine' must take an annotated payload" in run.output
        assert "Traceback" not in run.output
        assert READY not in run.output

        def mended() -> bool:
            handler.write_text(MENDED)  # again, as a test is quicker than the run, which begins to watch just now
            time.sleep(2)
            return READY in run.output

        wait_for(mended, "the ready lines")
        with httpx.Client(base_url=run.url, timeout=30) as client:
            task_id = submit(client, type="mine", payload={"n": 5})
            # A worker that dies of the last change with the task in its hands is missed after three minutes.
            assert result_of(client, task_id, seconds=240) == 5, run.output
        assert "Traceback" not in run.output
    finally:
        run.kill()
