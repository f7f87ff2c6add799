"""DEBUG=1: the worker runs in the API's process, and breakpoint() in a handler has the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest

from infra.local.target import at_port
from tests.e2e.local_run import LocalRun, result_of, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]

STYLE = re.compile(r"\x1b\[[0-9;]*m")

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


def messages_left(run: LocalRun) -> int:
    """The messages of all queues: waiting, in flight, delayed."""
    sqs = boto3.client("sqs", **at_port(run.engine_port).client_options)
    return sum(
        int(value)
        for url in sqs.list_queues()["QueueUrls"]
        for name, value in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"].items()
        if name.startswith("ApproximateNumberOfMessages")
    )


@pytest.mark.long
def test_breakpoint_in_a_handler_has_the_terminal(tmp_path: Path) -> None:
    run = LocalRun(tmp_path, DEBUG="1", TERM="xterm")
    (run.functions / "handlers" / "stops.py").write_text(HANDLER)
    try:
        run.start(terminal=True).wait_until_ready()
        with httpx.Client(base_url=run.url, timeout=30) as client:
            task_id = submit(client, type="stops", payload={})
            wait_for(lambda: "(Pdb)" in run.output, "the debugger's prompt")
            run.type("answer = 'changed at the prompt'")
            run.type("continue")

            assert result_of(client, task_id) == "changed at the prompt"
            echo_id = submit(client, type="echo", payload={"x": 1}, priority=1)
            assert result_of(client, echo_id) == {"x": 1}

        wait_for(lambda: messages_left(run) == 0, "the acknowledgement of every message")
        lines = STYLE.sub("", run.output).splitlines()
        for said in ("api       A task was accepted.", "worker    A task was completed."):
            for one in (task_id, echo_id):
                assert [line for line in lines if said in line and f"task_id={one}" in line], (said, lines)

        assert run.interrupt() == 0
        run.assert_nothing_left()
    finally:
        run.kill()
