"""Lambda entry point of the callback function: SQS records in, partial failures out."""

from functools import cache
from typing import Any

from tasklane.batch import run_batch
from tasklane.bootstrap import Services, function_services
from tasklane.callback import CallbackReport
from tasklane.message import CallbackMessage
from tasklane.observability import emit, get_logger, traced


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Deliver the batch (SQS event structure); a record that must come again is named in the answer, none raises."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _traced()(event, context)  # type: ignore[no-any-return]


def deliver(event: dict[str, Any], context: Any, services: Services | None = None) -> dict[str, Any]:
    """Deliver the callbacks that ``event`` announces, in the time that ``context`` has left."""
    records = event["Records"]
    unhandled, report = run_batch(
        [record["body"] for record in records],
        CallbackMessage,
        (services or function_services()).deliver_callbacks,
        lambda: context.get_remaining_time_in_millis() / 1000,
    )
    count(unhandled, report)
    return {"batchItemFailures": [{"itemIdentifier": records[i]["messageId"]} for i in sorted(unhandled)]}


def count(unhandled: frozenset[int], report: CallbackReport) -> None:
    """Print the metrics of a batch."""
    emit(
        {
            "CallbacksDelivered": report.delivered,
            "CallbacksFailed": report.failed,
            "EventsTold": report.told,
            "MessagesUnhandled": len(unhandled),
        }
    )


@cache
def _traced() -> Any:
    return traced(function_services().settings, deliver)
