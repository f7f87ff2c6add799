"""A deployed stack, and its functions run from the built package under their own roles."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.packaging import lambda_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from infra.local.deployment import Deployment
    from infra.local.target import Target
    from tests.packaging.lambda_runtime import LambdaFunction
    from tests.support.engine import Aws

EVENTS = Path(__file__).parent.parent / "events"
LOGICAL_IDS = {
    "api": "ApiFunction",
    "worker": "WorkerFunction",
    "callbacks": "CallbackFunction",
    "sweeper": "SweeperFunction",
}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The stack, and what is needed to run its functions from the package."""

    target: Target
    deployment: Deployment
    aws: Aws
    packages: Path
    python: Path
    runtime_client: Path
    logs: Path

    def function(self, name: str) -> AbstractContextManager[LambdaFunction]:
        """Run one of api, worker, callbacks and sweeper."""
        function_name = self.deployment.function_names[name]
        configuration = self.aws.client("lambda").get_function_configuration(FunctionName=function_name)
        return lambda_runtime.running(
            configuration,
            package=self.packages / LOGICAL_IDS[name],
            python=self.python,
            client=self.runtime_client,
            credentials=self._session(configuration["Role"]),
            log=self.logs / f"{name}.log",
        )

    def item(self, task_id: str) -> Mapping[str, Any]:
        """The task's stored item, as DynamoDB answers it."""
        key = {"task_id": {"S": task_id}}
        return self.aws.dynamodb.get_item(TableName=self.deployment.tasks_table_name, Key=key)["Item"]

    def receive(self, queue_url: str) -> str:
        """Take the one message that is waiting in a queue, and return its body."""
        (message,) = self.aws.sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=2)["Messages"]
        self.aws.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return message["Body"]

    @contextmanager
    def with_handler(self, name: str, code: str) -> Iterator[None]:
        """A handler of the test's own in the packages of API and worker."""
        files = [self.packages / LOGICAL_IDS[one] / "handlers" / f"{name}.py" for one in ("api", "worker")]
        for file in files:
            file.write_text(code)
        try:
            yield
        finally:
            for file in files:
                file.unlink()

    def sqs_event_of(self, queue_url: str, count: int) -> dict[str, Any]:
        """The event of so many messages that are waiting in a queue; they stay in flight until they are deleted."""
        received = self.aws.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        event = sqs_event([message["Body"] for message in received["Messages"]])
        for record, message in zip(event["Records"], received["Messages"], strict=True):
            record["receiptHandle"] = message["ReceiptHandle"]
            record["eventSourceARN"] = f"arn:aws:sqs:us-east-1:000000000000:{queue_url.rpartition('/')[2]}"
        assert len(event["Records"]) == count
        return event

    def in_flight(self, queue_url: str) -> int:
        """How many messages of a queue have been received and not deleted."""
        name: Any = "ApproximateNumberOfMessagesNotVisible"
        answer = self.aws.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _session(self, role_arn: str) -> dict[str, str]:
        """Variables of a session of the function's own role, which on AWS only Lambda may assume."""
        account = role_arn.split(":")[4]
        principal = {"Service": "lambda.amazonaws.com", "AWS": f"arn:aws:iam::{account}:root"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        self.aws.client("iam").update_assume_role_policy(
            RoleName=role_arn.rsplit("/", 1)[-1],
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        session = self.aws.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="packaging")["Credentials"]
        return {
            **self.target.variables,
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }


def http_event(method: str, path: str, body: Any = None) -> dict[str, Any]:
    """The documented HTTP API event, for this request."""
    event = _recorded("http_api.json")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["rawQueryString"] = ""
    del event["queryStringParameters"]
    event["headers"]["content-type"] = "application/json"
    event["body"] = json.dumps(body) if body is not None else ""
    return event


def sqs_event(bodies: Sequence[str]) -> dict[str, Any]:
    """The documented SQS event, with these bodies; message ids are 0, 1, …."""
    event = _recorded("sqs.json")
    record = event["Records"][0]
    event["Records"] = [
        copy.deepcopy(record) | {"messageId": str(position), "body": body} for position, body in enumerate(bodies)
    ]
    return event


def schedule_event() -> dict[str, Any]:
    """The documented scheduled event."""
    return _recorded("schedule.json")


def _recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / name).read_text())
    return event
