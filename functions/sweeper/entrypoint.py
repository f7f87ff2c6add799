"""Lambda entry point of the sweeper: a schedule in, what it did out."""

from dataclasses import asdict
from functools import cache
from typing import Any

from tasklane.bootstrap import Services, function_services
from tasklane.errors import SweepFailed
from tasklane.observability import emit, get_logger, traced


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sweep once."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _traced()(event, context)  # type: ignore[no-any-return]


def sweep(_event: dict[str, Any], context: Any, services: Services | None = None) -> dict[str, Any]:
    """Look after what is due, in the time that ``context`` has left; the event says nothing of interest."""
    report = (services or function_services()).sweep(lambda: context.get_remaining_time_in_millis() / 1000)
    counts = {"SweepSeen": report.seen, "SweepChanged": report.changed, "SweepSent": report.sent}
    emit({**counts, "SweepFailures": report.failed, "SweepsIncomplete": int(not report.complete)})
    if report.seen or not report.complete:
        get_logger().info("Looked after tasks that were due.", action="swept", **asdict(report))
    if report.failed:
        # Everything else has been swept; the failed invocation is what the alarm looks at.
        raise SweepFailed(f"{report.failed} shards or tasks could not be looked after; the log names them.")
    return asdict(report)


@cache
def _traced() -> Any:
    return traced(function_services().settings, sweep)
