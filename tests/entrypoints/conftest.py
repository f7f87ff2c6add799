"""What the entry points' tests share: a function's environment, and what the function prints."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import callbacks.entrypoint
import cleaner.entrypoint
import sweeper.entrypoint
import worker.entrypoint
from tasklane import bootstrap, observability
from tasklane.context import TaskContext
from tasklane.errors import NonRetryable
from tasklane.registry import Registry
from tests.support.installation import Installation, an_installation
from tests.support.loggers import loggers_of_its_own
from tests.support.payloads import Anything

ENVIRONMENT = {
    "TASKLANE_STAGE": "test",
    "TASKLANE_TASKS_TABLE": "tasks",
    "TASKLANE_CONTROL_TABLE": "control",
    "TASKLANE_BUCKET": "documents",
    "TASKLANE_LANE_URLS": ",".join(f"https://sqs.us-east-1.amazonaws.com/123456789012/lane-{n}" for n in range(1, 6)),
    "TASKLANE_CALLBACK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/callbacks",
    "TASKLANE_WEBHOOK_SECRETS": "/tasklane/secrets",
    "POWERTOOLS_METRICS_NAMESPACE": "Tasklane",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
_CACHES = (
    bootstrap.function_services,
    observability.get_logger,
    observability.get_metrics,
    callbacks.entrypoint._traced,
    cleaner.entrypoint._traced,
    sweeper.entrypoint._traced,
    worker.entrypoint._traced,
)


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """A function that has just been started: its environment, and nothing made yet."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for cached in _CACHES:
        cached.cache_clear()
    with loggers_of_its_own():
        yield
    for cached in _CACHES:
        cached.cache_clear()


@pytest.fixture
def home() -> Iterator[Installation]:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything, context: TaskContext) -> dict[str, Any] | None:
        context.logger.info("I am at it.", extra={"action": "echoing"})
        return payload.model_extra

    @registry.task("fail")
    def fail(payload: Anything) -> None:
        raise NonRetryable("no such account")

    home = an_installation(registry=registry)
    yield home
    home.close()


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The JSON lines that the function has printed since the last look."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def metrics(lines: list[dict[str, Any]]) -> dict[str, float]:
    """What CloudWatch would read out of these lines: the sum of each metric."""
    found: dict[str, float] = {}
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == "Tasklane"
            for metric in directive["Metrics"]:
                found[metric["Name"]] = found.get(metric["Name"], 0) + sum(line[metric["Name"]])
    return found


def logged(lines: list[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("action") == action]
