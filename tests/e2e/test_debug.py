"""DEBUG=1: the worker runs in the API's process, and breakpoint() in a handler has the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.local_run import LocalRun, result_of, submit, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HANDLER = '''
"""A handler that stops at a breakpoint."""

from pydantic import BaseModel

from tasklane.registry import task


class Payload(BaseModel):
    """Nothing."""


@task("stops")
def stops(payload: Payload) -> str:
    """Stop, and tell what the developer changed."""
    answer = "untouched"
    breakpoint()
    return answer
'''


def test_breakpoint_in_a_handler_has_the_terminal(tmp_path: Path) -> None:
    run = LocalRun(tmp_path, DEBUG="1", TERM="xterm")
    (run.functions / "handlers" / "stops.py").write_text(HANDLER)
    try:
        run.start(terminal=True).wait_until_ready()
        with httpx.Client(base_url=run.url, timeout=30) as client:
            task_id = submit(client, type="stops", payload={})
            wait_for(lambda: "(Pdb)" in run.output, 30, "the debugger's prompt")
            run.type("answer = 'changed at the prompt'")
            run.type("continue")

            assert result_of(client, task_id) == "changed at the prompt"
            assert result_of(client, submit(client, type="echo", payload={"x": 1}, priority=1)) == {"x": 1}

        assert run.interrupt() == 0
        run.assert_nothing_left()
    finally:
        run.kill()
