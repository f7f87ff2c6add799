"""The cleaner's entry point: removals from the table's stream in, partial failures out."""

from collections.abc import Callable
from typing import Any

from cleaner.entrypoint import clean, handler
from tests.entrypoints.conftest import metrics
from tests.support.aws_lambda import LambdaContext
from tests.support.installation import Installation

Printed = Callable[[], list[dict[str, Any]]]


CREATED_AT = 1_750_000_000_000


def removals(*task_ids: str) -> dict[str, Any]:
    """As DynamoDB streams tell it (https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html)."""
    return {
        "Records": [
            {
                "eventID": str(position),
                "eventName": "REMOVE",
                "eventSource": "aws:dynamodb",
                "dynamodb": {
                    "Keys": {"task_id": {"S": task_id}},
                    "OldImage": {"task_id": {"S": task_id}, "created_at": {"N": str(CREATED_AT)}},
                    "SequenceNumber": f"seq-{position}",
                },
                "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
            }
            for position, task_id in enumerate(task_ids)
        ]
    }


def test_the_documents_of_removed_tasks_are_removed(home: Installation, printed: Printed) -> None:
    again = f"gone/{CREATED_AT + 1}/payload-2"  # its idempotency key was used again: a new task has the same id
    for key in (f"gone/{CREATED_AT}/payload-1", f"gone/{CREATED_AT}/files/content", again, "stays/1/payload-1"):
        home.blobs.put(key, b"x")

    answer = clean(removals("gone", "had-none"), LambdaContext(), home.services)

    assert answer == {"batchItemFailures": []}
    assert list(home.blobs._blobs) == [again, "stays/1/payload-1"]
    assert metrics(printed()) == {"TasksCleaned": 2}


def test_the_stream_goes_on_from_the_first_that_could_not_be_removed(home: Installation, printed: Printed) -> None:
    home.blobs.refuse = 2

    answer = clean(removals("a", "b", "c"), LambdaContext(), home.services)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "seq-0"}]}
    assert metrics(printed()) == {"TasksCleaned": 1}
    assert clean(removals("a", "b", "c"), LambdaContext(), home.services) == {"batchItemFailures": []}


def test_the_handler_gets_its_services_from_its_environment() -> None:
    assert handler({"Records": []}, LambdaContext()) == {"batchItemFailures": []}
