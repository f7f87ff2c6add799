"""A Tasklane installation for one test: its own table, queues and bucket in the engine, seen through the proxy."""

import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from infra.local.target import ACCOUNT_KEY, REGION
from tasklane import aws
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.items import shard_of
from tasklane.adapters.memory import MemoryMailer, StaticSigningSecrets
from tasklane.bootstrap import Services
from tasklane.errors import Unavailable
from tasklane.ids import derived_task_id
from tasklane.message import TaskMessage
from tasklane.settings import Settings, read_settings
from tasklane.submit import Submission
from tasklane.task import Task
from tests.faults import patience
from tests.faults.clock import VARIABLE, SharedClock
from tests.faults.patience import Patience
from tests.faults.proxy import FaultProxy
from tests.faults.task_types import World, task_types
from tests.support.builders import SECRET
from tests.support.engine import Aws, unique

RECOVERY_SECONDS = 2
HIDDEN_SECONDS = 5400
"""For how long what a dead process had received is invisible: as deployed, longer than anything here takes."""


_making = threading.Lock()
"""A session makes one client at a time."""


@cache
def _session() -> boto3.Session:
    """Kept, because it keeps the descriptions of the services, which take long to read."""
    return boto3.Session(ACCOUNT_KEY, ACCOUNT_KEY, region_name=REGION)


class ServicesAt(Services):
    """The product's own composition, its clients pointed at an endpoint."""

    def __init__(self, settings: Settings, endpoint: str, patience: Patience, **ports: Any) -> None:
        super().__init__(settings, **ports)
        self._endpoint = endpoint
        self._patience = patience
        self._clients: list[Any] = []

    def close(self) -> None:
        """Close what it made; nobody else does before the process ends."""
        for part in ("execute", "http"):
            if part in vars(self):
                vars(self)[part].close()
        for client in self._clients:
            client.close()

    def _client(self, service: Any, read_seconds: float = aws.READ_SECONDS) -> Any:
        config = aws.client_config(service, self._patience.of(read_seconds))
        with _making:
            self._clients.append(_session().client(service, endpoint_url=self._endpoint, config=config))
        return self._clients[-1]


class DeafQueue:
    """A lane that takes nothing."""

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        return [Unavailable("the queue is deaf") for _ in messages]

    def check(self) -> None:
        raise Unavailable("the queue is deaf")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Everything a test needs to run Tasklane and to look at it from outside."""

    aws: Aws
    proxy: FaultProxy
    clock: SharedClock
    folder: Path
    variables: Mapping[str, str]
    """The functions' environment variables."""
    patience: Patience = field(default_factory=Patience)
    """How long its clients wait for an answer."""
    _made: list[ServicesAt] = field(default_factory=list)

    @property
    def world(self) -> World:
        return World(folder=self.folder)

    @property
    def settings(self) -> Settings:
        return read_settings(self.variables)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process of this installation, which reaches the engine through the proxy."""
        return {
            **self.variables,
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "AWS_ACCESS_KEY_ID": ACCOUNT_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCOUNT_KEY,
            "AWS_DEFAULT_REGION": REGION,
            VARIABLE: str(self.clock.path),
            patience.VARIABLE: str(self.patience.seconds or ""),
        }

    def services(self, **ports: Any) -> Services:
        """The use cases, run in the test's own process."""
        given: dict[str, Any] = {"clock": self.clock, "registry": task_types(self.world)}
        given |= {"secrets": StaticSigningSecrets(SECRET), "mailer": MemoryMailer()}
        self._made.append(ServicesAt(self.settings, self.proxy.endpoint, self.patience, **(given | ports)))
        return self._made[-1]

    def close(self) -> None:
        """Close the clients of all services."""
        for services in self._made:
            services.close()

    def submit(self, services: Services, numbers: Sequence[int] = (7,), **wish: Any) -> list[Task]:
        """Accept a ``work`` task for each number; ``wish`` are fields of the submission or of the payload."""
        fields = {name: wish.pop(name) for name in list(wish) if name in Submission.__dataclass_fields__}
        made = [Submission(**({"type": "work", "payload": {"number": n, **wish}} | fields)) for n in numbers]
        return [services.submit(one).task for one in made]

    def accept_unsent(self, services: Services, count: int) -> list[Task]:
        """Tasks of one shard whose messages were lost: kept, and never sent."""
        keys = (str(number) for number in itertools.count())
        alike = (key for key in keys if shard_of(derived_task_id("", key)) == "0")
        deaf = self.services(store=services.store, blobs=services.blobs, queue=DeafQueue())
        chosen = itertools.islice(alike, count)
        return [task for key in chosen for task in self.submit(deaf, idempotency_key=key)]

    # -- looking at it from outside, past the proxy ------------------------------------------------------------------

    def tasks(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks as they are now."""
        found = DynamoDbTaskStore(self.aws.dynamodb, self.settings.tasks_table).get([task.id for task in tasks])
        return [found[task.id] for task in tasks if task.id in found]

    def task(self, task: Task) -> Task:
        return self.tasks([task])[0]

    @property
    def api(self) -> str:
        """Base URL of the API, where a process serves it."""
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    @property
    def journal(self) -> dict[str, list[Task]]:
        """Every state of every task."""
        return self.proxy.journal(self.settings.tasks_table)

    def depth(self, url: str) -> int:
        """How many messages wait in a queue, are in flight, or are delayed."""
        wanted: Any = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        answer = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
        return sum(int(value) for value in answer["Attributes"].values())

    def lane(self, number: int = 3) -> str:
        return self.settings.lane_urls[number]


def installed(
    aws: Aws,
    proxy: FaultProxy,
    clock: SharedClock,
    folder: Path,
    *,
    read_seconds: float | None = None,
    **variables: str,
) -> Installation:
    """Make what an installation needs; ``variables`` are settings other than the tests' usual ones."""
    lanes, dead = ",".join(aws.a_queue(HIDDEN_SECONDS) for _ in range(5)), aws.a_queue()
    usual = {
        "TASKLANE_TASKS_TABLE": aws.a_table(),
        "TASKLANE_CONTROL_TABLE": aws.a_control_table(),
        "TASKLANE_BUCKET": aws.a_bucket(),
        "TASKLANE_LANE_URLS": lanes,
        "TASKLANE_CALLBACK_QUEUE_URL": aws.a_queue(HIDDEN_SECONDS),
        "TASKLANE_DEAD_LETTER_URLS": ",".join([dead] * 5),
        "TASKLANE_CALLBACK_DEAD_LETTER_URL": dead,
        "TASKLANE_RECOVERY_SECONDS": str(RECOVERY_SECONDS),
        "TASKLANE_ALLOW_LOOPBACK": "true",
    }
    return Installation(
        aws=aws,
        proxy=proxy,
        clock=clock,
        folder=folder,
        variables=usual | variables,
        patience=Patience(read_seconds),
    )


def a_queue_with_dead_letters(aws: Aws, *, receives: int, visibility_seconds: int) -> tuple[str, str]:
    """URLs of a queue and of its dead-letter queue."""
    dead = aws.a_queue()
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
    attributes: Any = {"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": redrive}
    return aws.sqs.create_queue(QueueName=unique("queue"), Attributes=attributes)["QueueUrl"], dead
