"""Lambda entry point of the worker: SQS records of one lane in, partial failures out."""

from collections import Counter
from functools import cache, partial
from typing import Any

from tasklane.batch import run_batch
from tasklane.bootstrap import Services, function_services
from tasklane.execute import BatchReport
from tasklane.message import TaskMessage
from tasklane.observability import emit, get_logger, traced
from tasklane.visibility import Visibility
from worker.receipts import Receipts
from worker.wear import end_worn_out


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the batch (SQS event structure); a record that must come again is named in the answer, none raises."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _traced()(event, context)  # type: ignore[no-any-return]


def work(event: dict[str, Any], context: Any, services: Services | None = None) -> dict[str, Any]:
    """Run the tasks that ``event`` announces, in the time that ``context`` has left; a worn out process then ends."""
    records, services = event["Records"], services or function_services()
    receipts = Receipts.of(records, services.settings.lane_urls)
    with Visibility(services.source, receipts.lane, receipts.handles) as visibility:
        unhandled, report = run_batch(
            [record["body"] for record in records],
            TaskMessage,
            partial(services.execute, beat=visibility.extend),
            lambda: context.get_remaining_time_in_millis() / 1000,
        )
    count(unhandled, report)
    if reason := services.execute.worn_out:
        end_worn_out(reason, receipts.without(unhandled), services.source)
    return {"batchItemFailures": [{"itemIdentifier": records[i]["messageId"]} for i in sorted(unhandled)]}


def count(unhandled: frozenset[int], report: BatchReport) -> None:
    """Print the metrics of a batch."""
    ended = Counter(f"Tasks{outcome.task.status.capitalize()}" for outcome in report.outcomes)
    others = {"MessagesRefused": report.refused, "MessagesUnhandled": len(unhandled)}
    emit({**ended, **others, "OutcomesUnwritten": report.unwritten})


@cache
def _traced() -> Any:
    return traced(function_services().settings, work)
