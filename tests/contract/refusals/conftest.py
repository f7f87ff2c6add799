"""What the tests of refusals share: clients whose answers a test gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.stub import Stubber

from tasklane.errors import Unavailable
from tests.support.engine import Aws

ONE_TRY = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
URLS = {lane: f"https://sqs.us-east-1.amazonaws.com/123456789012/lane-{lane}" for lane in range(6)}


@contextmanager
def stubbed(service: str) -> Iterator[tuple[Any, Stubber]]:
    """A client whose answers a test gives, and that must have asked for all of them."""
    aws = Aws(endpoint=None)
    client = aws.client(service, ONE_TRY)
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()
    aws.close()


def throttled(stub: Stubber, operation: str) -> None:
    stub.add_client_error(operation, "ThrottlingException", "Rate exceeded", http_status_code=400)


def refused(answers: list[Any]) -> list[bool]:
    return [isinstance(answer, Unavailable) for answer in answers]
