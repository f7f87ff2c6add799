"""The Lambda entry point, with events of API Gateway (HTTP API, payload version 2.0).

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import asyncio
import base64
import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api import entrypoint, stream
from tasklane import observability
from tests.support.loggers import loggers_of_its_own
from tests.unit.api.conftest import Installation

CONTEXT = SimpleNamespace(aws_request_id="lambda-request-1", function_name="api", memory_limit_in_mb=512)
Call = Callable[..., dict[str, Any]]


def an_event(method: str, path: str, body: str | None = None, query: str = "", **headers: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "id.execute-api.eu-west-1.amazonaws.com", "x-forwarded-proto": "https"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "id",
            "stage": "$default",
            "timeEpoch": 1583348638390,
        },
        "isBase64Encoded": False,
    }
    return event if body is None else event | {"body": body}


@pytest.fixture
def call(api: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """The entry point over the memory adapters; logging is as before afterwards."""
    monkeypatch.setattr(entrypoint, "function_services", lambda: api.services)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    entrypoint._answer.cache_clear()
    with loggers_of_its_own():
        yield lambda *event, **headers: entrypoint.handler(an_event(*event, **headers), CONTEXT)
    entrypoint._answer.cache_clear()
    loop.close()
    asyncio.set_event_loop(None)


def test_a_task_is_submitted_and_read(call: Call, api: Installation) -> None:
    body = json.dumps({"type": "echo", "payload": {"a": "ü"}}, ensure_ascii=False)

    posted = call("POST", "/v1/tasks", body, content_type="application/json")
    api.work()
    got = call("GET", posted["headers"]["location"], None, "wait=1")

    assert (posted["statusCode"], posted["isBase64Encoded"]) == (202, False)
    assert (got["statusCode"], json.loads(got["body"])["result"]) == (200, {"a": "ü"})
    assert got["headers"]["etag"]


def test_a_body_in_base64_is_read(call: Call) -> None:
    event = an_event(
        "POST", "/v1/tasks", base64.b64encode(b'{"type":"echo"}').decode(), content_type="application/json"
    )

    assert entrypoint.handler(event | {"isBase64Encoded": True}, CONTEXT)["statusCode"] == 202


def test_a_problem_is_text(call: Call) -> None:
    answer = call("POST", "/v1/tasks", "{", content_type="application/json")

    assert (answer["statusCode"], answer["isBase64Encoded"]) == (400, False)
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"])["type"] == "urn:tasklane:problem:invalid-json"


def test_the_dashboard_is_text_too(call: Call) -> None:
    page = call("GET", "/dashboard")
    parts = re.findall(r'(?:href|src)="(dashboard/[^"]+)"', page["body"])

    assert len(parts) > 5
    for path in ("dashboard", *parts):
        answer = call("GET", f"/{path}")
        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False), path
        assert "content-security-policy" in answer["headers"]
    assert call("GET", "/dashboard/none")["headers"]["content-type"] == "application/problem+json"


def test_a_wait_ends_with_its_time(call: Call) -> None:
    location = call("POST", "/v1/tasks", '{"type":"echo"}', content_type="application/json")["headers"]["location"]

    assert call("GET", location, None, "wait=0.3")["statusCode"] == 200


def test_log_lines_carry_the_ids(call: Call) -> None:
    printed = io.StringIO()
    handler = observability.get_logger().registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(printed)

    posted = call("POST", "/v1/tasks", '{"type":"echo"}', content_type="application/json", x_correlation_id="c-1")

    handler.setStream(before)
    lines = [json.loads(line) for line in printed.getvalue().splitlines()]
    (accepted,) = [line for line in lines if line.get("action") == "accepted"]
    assert (accepted["correlation_id"], accepted["request_id"]) == ("c-1", "lambda-request-1")
    assert accepted["task_id"] == json.loads(posted["body"])["id"]


def test_the_application_is_built_once(call: Call) -> None:
    call("GET", "/health")
    answer = entrypoint._answer()
    call("GET", "/health")

    assert entrypoint._answer() is answer


def test_it_answers_while_it_is_traced(call: Call, api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    api.services.settings = api.services.settings.model_copy(update={"tracing": True})

    assert call("GET", "/health")["statusCode"] == 200


def test_importing_the_entry_point_reads_no_environment_and_loads_no_sdk() -> None:
    code = "import sys, api.entrypoint; print({'boto3', 'httpcore', 'uvicorn', 'handlers'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / "functions")}

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_a_stream_is_one_event_a_request(call: Call, api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0.3)
    task_id = api.submitted()
    path = f"/api/tasks/{task_id}"

    at_once = call("GET", path)
    begun = time.monotonic()
    later = call("GET", path, last_event_id=event_id(at_once))
    waited = time.monotonic() - begun
    api.work()
    last = call("GET", path, last_event_id=event_id(later))
    over = call("GET", path, last_event_id=event_id(last))

    assert (at_once["statusCode"], at_once["isBase64Encoded"]) == (200, False)
    assert waited >= 0.3, "without an end in sight, as long as a stream would"
    statuses = [json.loads(one["body"].splitlines()[0].removeprefix("data: "))["status"] for one in (at_once, last)]
    assert statuses == ["PENDING", "COMPLETED"]
    assert over["statusCode"] == 204, "EventSource reconnects until it is told"


def event_id(answer: dict[str, Any]) -> str:
    (line,) = [line for line in answer["body"].splitlines() if line.startswith("id: ")]
    return str(line.removeprefix("id: "))
