"""The same API as a Lambda function behind API Gateway, as it is deployed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.local import target
from tests.e2e.local_run import result_of

if TYPE_CHECKING:
    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def call(run: LocalRun, method: str, path: str, body: object = None, *, signed: bool = True) -> httpx.Response:
    """Call the deployed API: the engine's address, API Gateway's host, an IAM signature."""
    [api] = boto3.client("apigatewayv2", **target.at_port(run.engine_port).client_options).get_apis()["Items"]
    content = json.dumps(body) if body is not None else ""
    request = AWSRequest(
        method,
        f"{run.engine_url}{path}",
        data=content,
        headers={"Host": f"{api['ApiId']}.execute-api.localhost:{run.engine_port}", "Content-Type": "application/json"},
    )
    if signed:
        SigV4Auth(Credentials("test", "test"), "execute-api", target.REGION).add_auth(request)
    return httpx.request(method, str(request.url), content=content, headers=dict(request.headers.items()), timeout=30)


def test_a_task_goes_through_api_gateway_lambda_and_mangum(shared_run: LocalRun, client: httpx.Client) -> None:
    answer = call(shared_run, "POST", "/v1/tasks", {"type": "FibonacciTask", "payload": {"n": 10}})

    assert answer.status_code == 202, answer.text
    assert result_of(client, answer.json()["id"]) == {"result": 55}
    assert call(shared_run, "GET", f"/v1/tasks/{answer.json()['id']}").json()["status"] == "completed"


def test_problems_come_through_as_they_are(shared_run: LocalRun) -> None:
    answer = call(shared_run, "GET", "/v1/tasks/none")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_dashboard_comes_through_with_all_its_parts(shared_run: LocalRun) -> None:
    page = call(shared_run, "GET", "/dashboard")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for part in re.findall(r'(?:href|src)="(dashboard/[^"]+)"', page.text):
        answer = call(shared_run, "GET", f"/{part}")
        assert answer.status_code == 200, part
        assert answer.headers["content-type"].startswith(("text/css", "text/javascript", "image/svg+xml"))
        assert answer.headers["cache-control"] == "max-age=31536000, immutable"


def test_a_call_without_a_signature_is_refused(shared_run: LocalRun) -> None:
    assert call(shared_run, "GET", "/v1/task-types", signed=False).status_code == 403
