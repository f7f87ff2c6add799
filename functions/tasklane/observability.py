"""Logs, metrics and traces of a function, with Powertools; the core logs with the standard library."""

import io
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An error's text may hold half a character; its line would be lost, and the error with it.
        sys.stdout.reconfigure(errors="backslashreplace")
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


def emit(counts: Mapping[str, int]) -> None:
    """Print what is not zero of ``counts``, by metric name, in CloudWatch's embedded metric format."""
    metrics = get_metrics()
    for name, value in counts.items():
        if value:
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    if any(counts.values()):
        metrics.flush_metrics()


def traced(settings: Settings, handler: Callable[..., Any], patch: Iterable[str] = ("boto3",)) -> Callable[..., Any]:
    """``handler``, traced with X-Ray where the settings say so.

    The tracer's import costs a third of a second, so it is made here and not at import.
    """
    if not settings.tracing:
        return handler
    from aws_lambda_powertools import Tracer

    tracer = Tracer(patch_modules=list(patch))
    return tracer.capture_lambda_handler(handler, capture_response=False)
