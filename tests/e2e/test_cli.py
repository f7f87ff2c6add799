"""`tasklane` as it is installed, against a real installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from botocore.credentials import Credentials

from infra.cli.signing import Signature
from infra.local import target

if TYPE_CHECKING:
    from tests.e2e.local_run import LocalRun

pytestmark = pytest.mark.engine

TASKLANE = Path(sys.executable).with_name("tasklane")


def tasklane(run: LocalRun, *words: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"TASKLANE_URL": run.url}
    return subprocess.run([TASKLANE, *words], env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_a_task_is_submitted_waited_for_and_shown(shared_run: LocalRun) -> None:
    done = tasklane(shared_run, "submit", "FibonacciTask", "--payload", '{"n": 10}', "--label", "from=cli", "--wait")

    assert (done.returncode, done.stderr) == (0, "")
    assert '{"result": 55}' in done.stdout
    listed = tasklane(shared_run, "show", "--label", "from=cli").stdout.splitlines()
    assert len(listed) == 2
    assert listed[1].split()[0] in done.stdout


def test_a_refusal_is_one_line_and_1(shared_run: LocalRun) -> None:
    done = tasklane(shared_run, "submit", "nonsense")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "There is no task type 'nonsense'" in done.stderr


def test_signed_calls_go_through_api_gateway(shared_run: LocalRun) -> None:
    """The engine asks for a signature; that it is the right one is for tests/unit/cli/test_main.py."""
    options = target.at_port(shared_run.engine_port).client_options
    [api] = boto3.client("apigatewayv2", **options).get_apis()["Items"]
    signature = Signature(Credentials("test", "test"), target.REGION)
    host = f"{api['ApiId']}.execute-api.localhost:{shared_run.engine_port}"

    with httpx.Client(base_url=shared_run.engine_url, auth=signature, headers={"host": host}, timeout=30) as http:
        submitted = http.post("/v1/tasks", json={"type": "echo", "payload": {"ü": "a b"}, "labels": {"a:b": "c d"}})
        assert submitted.status_code == 202, submitted.text
        listed = http.get("/v1/tasks", params={"label": "a:b:c d", "limit": "1"})
        assert [task["id"] for task in listed.json()["tasks"]] == [submitted.json()["id"]]
        assert http.get("/v1/tasks", auth=None).status_code == 403
