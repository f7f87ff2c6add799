"""The embedded engine for tests, and what tests make in it: names of their own, from template.yaml's definitions."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from infra import template as templates
from infra.local import engine
from infra.local.errors import LocalRunError
from infra.local.target import ACCOUNT_KEY, REGION, Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 2},
    s3={"addressing_style": "path"},
)


@contextmanager
def running_engine(scratch: Path) -> Iterator[Target]:
    """An engine of its own on a free port of 127.0.0.1; skips, saying why, where it does not start."""
    try:
        with engine.running(port=engine.free_port(), scratch=scratch) as started:
            started.wait_until_ready()
            yield started.target
    except LocalRunError as exc:
        pytest.skip(f"the embedded engine does not start here: {exc}")


@dataclass(kw_only=True)
class Aws:
    """Clients of one endpoint (None: wherever the SDK goes, which is moto), and resources with names of their own."""

    endpoint: str | None
    made: list[Any] = field(default_factory=list)

    def client(self, service: Any, config: Config = CONFIG) -> Any:
        # A session of its own: the default one keeps the credentials that moto puts into the environment.
        client = boto3.Session(ACCOUNT_KEY, ACCOUNT_KEY, region_name=REGION).client(
            service, endpoint_url=self.endpoint, config=config
        )
        self.made.append(client)
        return client

    @property
    def dynamodb(self) -> "DynamoDBClient":
        return self._kept("dynamodb")  # type: ignore[no-any-return]

    @property
    def sqs(self) -> "SQSClient":
        return self._kept("sqs")  # type: ignore[no-any-return]

    @property
    def s3(self) -> "S3Client":
        return self._kept("s3")  # type: ignore[no-any-return]

    @property
    def ssm(self) -> "SSMClient":
        return self._kept("ssm")  # type: ignore[no-any-return]

    @property
    def secrets_manager(self) -> Any:
        return self._kept("secretsmanager")

    def a_table(self) -> str:
        """A new table, defined as template.yaml defines the table of tasks."""
        name = unique("tasks")
        self.dynamodb.create_table(TableName=name, **tasks_table())
        return name

    def a_control_table(self) -> str:
        """A new table, defined as template.yaml defines the control table."""
        name = unique("control")
        self.dynamodb.create_table(TableName=name, **control_table())
        return name

    def a_queue(self, visibility_seconds: int = 30) -> str:
        """The URL of a new queue."""
        attributes: Any = {"VisibilityTimeout": str(visibility_seconds)}
        return self.sqs.create_queue(QueueName=unique("queue"), Attributes=attributes)["QueueUrl"]

    def a_bucket(self) -> str:
        name = unique("bucket")
        self.s3.create_bucket(Bucket=name)
        return name

    def close(self) -> None:
        """Close the clients' connections: an open socket is a warning, and warnings are errors."""
        for client in self.made:
            client.close()

    def _kept(self, service: str) -> Any:
        found = next((c for c in self.made if c.meta.service_model.service_name == service), None)
        return found or self.client(service)


@cache
def tasks_table() -> Mapping[str, Any]:
    """CreateTable's arguments for the template's table of tasks: keys and indexes cannot drift from it."""
    return _table("TasksTable")


@cache
def control_table() -> Mapping[str, Any]:
    """The same for the control table."""
    return _table("ControlTable")


def _table(logical_id: str) -> Mapping[str, Any]:
    properties = templates.load()["Resources"][logical_id]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {name: properties[name] for name in wanted if name in properties}


def unique(word: str) -> str:
    return f"{word}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
