"""Logs, metrics and traces of a function, with Powertools; the core logs with the standard library."""

import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from tasklane.settings import Settings

CORE_LOGGERS = ("tasklane", "handlers")
"""The loggers of core and handlers; their lines come out like the entry point's own, with their ``extra`` keys."""


@cache
def get_logger() -> Logger:
    """The function's logger; service and level are Powertools' own variables."""
    logger = Logger(utc=True, use_rfc3339=True)
    for name in CORE_LOGGERS:
        core = logging.getLogger(name)
        core.handlers = [logger.registered_handler]
        core.setLevel(logger.log_level)
        core.propagate = False
    return logger


@cache
def get_metrics() -> Metrics:
    """The function's metrics (EMF); the namespace is Powertools' own variable."""
    return Metrics()


def count(metrics: Metrics, name: str, value: float = 1, unit: MetricUnit = MetricUnit.Count) -> None:
    """Add to a metric; nothing where ``value`` is 0."""
    if value:
        metrics.add_metric(name=name, unit=unit, value=value)


def traced(settings: Settings, handler: Callable[..., Any], patch: Iterable[str] = ("boto3",)) -> Callable[..., Any]:
    """``handler``, traced with X-Ray where the settings say so.

    The tracer's import costs a third of a second, so it is made here and not at import.
    """
    if not settings.tracing:
        return handler
    from aws_lambda_powertools import Tracer

    tracer = Tracer(patch_modules=list(patch))
    return tracer.capture_lambda_handler(handler, capture_response=False)
