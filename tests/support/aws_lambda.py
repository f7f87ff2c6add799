"""What Lambda gives an entry point: events as its pollers make them, and a context."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LambdaContext:
    """The part of Lambda's context that entry points and Powertools use; its time passes."""

    seconds: float = 900.0
    """How long the invocation may take, from now on."""
    aws_request_id: str = "request-1"
    function_name: str = "tasklane-worker"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:tasklane-worker"
    begun: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.begun + self.seconds - time.monotonic()) * 1000))


def sqs_event(bodies: Iterable[str], queue: str = "lane-3") -> dict[str, Any]:
    """The event of a batch; the messages' ids are ``message-0``, ``message-1``, …

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {"Records": [_record(position, body, queue) for position, body in enumerate(bodies)]}


def _record(position: int, body: str, queue: str) -> dict[str, Any]:
    return {
        "messageId": f"message-{position}",
        "receiptHandle": f"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a{position}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
        "awsRegion": "us-east-1",
    }
