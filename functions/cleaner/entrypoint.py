"""Lambda entry point of the cleaner: removals from the tasks table's stream in, partial failures out."""

from functools import cache
from typing import Any

from tasklane.bootstrap import Services, function_services
from tasklane.observability import emit, get_logger, traced


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Clean up after the removed items (DynamoDB stream event structure) that the event source's filter let through."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _traced()(event, context)  # type: ignore[no-any-return]


def clean(event: dict[str, Any], _context: Any, services: Services | None = None) -> dict[str, Any]:
    """Remove what the blob store keeps for the tasks that ``event`` says are gone."""
    records = event["Records"]
    images = [record["dynamodb"]["OldImage"] for record in records]
    left = (services or function_services()).remove_documents(
        [(image["task_id"]["S"], int(image["created_at"]["N"])) for image in images]
    )
    emit({"TasksCleaned": len(records) - len(left)})
    # A stream goes on from the first failure, so one is enough.
    failed = [records[position]["dynamodb"]["SequenceNumber"] for position in sorted(left)[:1]]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


@cache
def _traced() -> Any:
    return traced(function_services().settings, clean)
