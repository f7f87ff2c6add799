"""The composition root: settings → clients → adapters → use cases. Nothing else in Tasklane makes a client.

Every part is made when it is first asked for, so that a function pays only for what it uses.
"""

import threading
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from tasklane.callback import DeliverCallbacks
from tasklane.cleanup import RemoveDocuments
from tasklane.clock import SystemClock
from tasklane.errors import ConfigurationError, Unavailable
from tasklane.execute import Execute
from tasklane.fetch import Fetch
from tasklane.lease import Leases
from tasklane.limits import ManageLimits
from tasklane.lines import Lines
from tasklane.listing import ListCallbacks, ListTasks
from tasklane.manage import ManageTasks, ReadTasks
from tasklane.pause import PauseTasks
from tasklane.ports import (
    BlobStore,
    CallbackQueue,
    Clock,
    ControlStore,
    Mailer,
    MessageSource,
    Outbound,
    QueueDepths,
    SigningSecrets,
    TaskQueue,
    TaskStore,
)
from tasklane.redrive import Redrive
from tasklane.registry import Registry, load_handlers
from tasklane.remove import RemoveTasks
from tasklane.settings import Settings, read_settings
from tasklane.submit import Submit
from tasklane.sweep import Sweep
from tasklane.task_types import TaskTypes

if TYPE_CHECKING:
    from botocore.config import Config

CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10
"""Longer than any request here takes; the SDK's minute would outlast a lease's margin."""
HOLD_SECONDS: Final = 60
"""How long a received dead letter is nobody else's: longer than a request may take."""
_making_a_client = threading.Lock()
"""boto3's session is not safe for two threads that make clients
(https://boto3.amazonaws.com/v1/documentation/api/latest/guide/session.html)."""


class Services:
    """The use cases of an installation, ready to be called.

    A test gives its own ports by name (``store``, ``queue``, …); what is not given is made on AWS from ``settings``.
    """

    def __init__(self, settings: Settings | None = None, *, registry: Registry | None = None, **ports: Any) -> None:
        self._settings = settings
        self._registry = registry
        self._ports: Mapping[str, Any] = ports

    @cached_property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self._settings or read_settings()

    @cached_property
    def registry(self) -> Registry:
        """The task types; the modules of ``handlers`` unless a test gave its own."""
        return self._registry or load_handlers()

    @cached_property
    def types(self) -> TaskTypes:
        """The task types, those that were declared for external workers too."""
        return TaskTypes(registry=self.registry, control=self.control, clock=self.clock)

    @cached_property
    def leases(self) -> Leases:
        """Ends and renews the leases of external workers."""
        return Leases(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def fetch(self) -> Fetch:
        """Leases tasks to external workers."""
        return Fetch(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            control=self.control,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def submit(self) -> Submit:
        """Accepts tasks."""
        return Submit(
            store=self.store,
            queue=self.queue,
            blobs=self.blobs,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def read(self) -> ReadTasks:
        """Shows tasks."""
        return ReadTasks(store=self.store, blobs=self.blobs, clock=self.clock)

    @cached_property
    def manage(self) -> ManageTasks:
        """Changes tasks by hand."""
        return ManageTasks(
            read=self.read,
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def list_tasks(self) -> ListTasks:
        """Lists tasks."""
        return ListTasks(store=self.store, clock=self.clock)

    @cached_property
    def remove_tasks(self) -> RemoveTasks:
        """Forgets tasks."""
        return RemoveTasks(store=self.store, clock=self.clock)

    @cached_property
    def pause(self) -> PauseTasks:
        """Pauses and resumes lanes and task types."""
        lines = Lines(store=self.store, queue=self.queue, clock=self.clock, timing=self.settings.timing)
        return PauseTasks(control=self.control, lines=lines, clock=self.clock)

    @cached_property
    def limits(self) -> ManageLimits:
        """Sets limits."""
        lines = Lines(store=self.store, queue=self.queue, clock=self.clock, timing=self.settings.timing)
        return ManageLimits(control=self.control, lines=lines, clock=self.clock)

    @cached_property
    def list_callbacks(self) -> ListCallbacks:
        """Lists tasks by what became of their callback."""
        return ListCallbacks(store=self.store, clock=self.clock)

    @cached_property
    def execute(self) -> Execute:
        """Runs batches of tasks."""
        return Execute(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            downloader=self.http,
            mailer=self.mailer,
            control=self.control,
            registry=self.registry,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def deliver_callbacks(self) -> DeliverCallbacks:
        """Delivers callbacks."""
        return DeliverCallbacks(
            store=self.store,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            sender=self.http,
            secrets=self.secrets,
            clock=self.clock,
            timing=self.settings.timing,
            terms=self.settings.callback_terms,
        )

    @cached_property
    def redrive(self) -> Redrive:
        """Brings back what lanes and callback queue gave up."""
        return Redrive(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            dead_letters=self.dead_letters,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def remove_documents(self) -> RemoveDocuments:
        """Removes what was kept for tasks that are gone."""
        return RemoveDocuments(blobs=self.blobs)

    @cached_property
    def sweep(self) -> Sweep:
        """Looks after what is due."""
        return Sweep(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            control=self.control,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    def check(self) -> Mapping[str, str]:
        """Whether table and queues answer: "ok", or what is wrong, by name."""
        checks = {
            "table": self.store.check,
            "lanes": self.queue.check,
            "callback_queue": self.callback_queue.check,
        }
        return {name: _health(check) for name, check in checks.items()}

    # -- ports ---------------------------------------------------------------------------------------------------------

    @cached_property
    def clock(self) -> Clock:
        """Tells the time."""
        given: Clock | None = self._ports.get("clock")
        return given or SystemClock()

    @cached_property
    def store(self) -> TaskStore:
        """Keeps the tasks."""
        given: TaskStore | None = self._ports.get("store")
        if given is not None:
            return given
        from tasklane.adapters.dynamodb import DynamoDbTaskStore

        return DynamoDbTaskStore(
            self._client("dynamodb"), self.settings.tasks_table, control_table=self.settings.control_table
        )

    @cached_property
    def control(self) -> ControlStore:
        """Keeps what people decide about the installation."""
        given: ControlStore | None = self._ports.get("control")
        if given is not None:
            return given
        from tasklane.adapters.control import DynamoDbControlStore

        return DynamoDbControlStore(self._client("dynamodb"), self.settings.control_table)

    @cached_property
    def queue(self) -> TaskQueue:
        """Sends down the lanes."""
        given: TaskQueue | None = self._ports.get("queue")
        if given is not None:
            return given
        from tasklane.adapters.sqs import SqsTaskQueue

        return SqsTaskQueue(self._client("sqs"), self.settings.lane_urls, self.clock)

    @cached_property
    def callback_queue(self) -> CallbackQueue:
        """Sends to the callback function."""
        given: CallbackQueue | None = self._ports.get("callback_queue")
        if given is not None:
            return given
        from tasklane.adapters.sqs import SqsCallbackQueue

        return SqsCallbackQueue(self._client("sqs"), self.settings.callback_queue_url, self.clock)

    @cached_property
    def source(self) -> MessageSource:
        """Receives from lanes and callback queue, for the poller."""
        given: MessageSource | None = self._ports.get("source")
        if given is not None:
            return given
        from tasklane.adapters.sqs import SqsMessageSource

        return SqsMessageSource(self._client("sqs", read_seconds=30), self._queue_urls)

    @cached_property
    def dead_letters(self) -> MessageSource:
        """Receives from the dead-letter queues of lanes and callback queue."""
        given: MessageSource | None = self._ports.get("dead_letters")
        if given is not None:
            return given
        from tasklane.adapters.sqs import SqsMessageSource

        return SqsMessageSource(self._client("sqs"), self._dead_letter_urls, hold_seconds=HOLD_SECONDS)

    @cached_property
    def depths(self) -> QueueDepths:
        """Knows how full the queues are."""
        given: QueueDepths | None = self._ports.get("depths")
        if given is not None:
            return given
        from tasklane.adapters.sqs import SqsQueueDepths

        return SqsQueueDepths(self._client("sqs"), self._queue_urls, self._dead_letter_urls)

    @cached_property
    def blobs(self) -> BlobStore:
        """Keeps large documents."""
        given: BlobStore | None = self._ports.get("blobs")
        if given is not None:
            return given
        from tasklane.adapters.s3 import S3BlobStore

        return S3BlobStore(self._client("s3"), self.settings.bucket)

    @cached_property
    def http(self) -> Outbound:
        """Posts callbacks and downloads, behind the outbound guard."""
        given: Outbound | None = self._ports.get("http")
        if given is not None:
            return given
        from tasklane.adapters.http import HttpClient, OutboundGuard

        return HttpClient(OutboundGuard(allow_loopback=self.settings.allow_loopback))

    @cached_property
    def mailer(self) -> Mailer:
        """Sends mail for handlers; its client is made for the first one."""
        given: Mailer | None = self._ports.get("mailer")
        if given is not None:
            return given
        from tasklane.adapters.ses import SesMailer

        return SesMailer(lambda: self._client("sesv2"), self.settings.mail_sender)

    @cached_property
    def secrets(self) -> SigningSecrets:
        """Knows the signing secrets."""
        given: SigningSecrets | None = self._ports.get("secrets")
        if given is not None:
            return given
        from tasklane.adapters.signing_secrets import StoredSigningSecrets

        return StoredSigningSecrets(
            ssm=cache(lambda: self._client("ssm")),
            secrets_manager=cache(lambda: self._client("secretsmanager")),
            installation=self.settings.webhook_secrets,
            tenants=self.settings.tenant_webhook_secrets,
        )

    @property
    def _queue_urls(self) -> Mapping[int, str]:
        from tasklane.adapters.sqs import CALLBACKS

        return {**self.settings.lane_urls, CALLBACKS: self.settings.callback_queue_url}

    @property
    def _dead_letter_urls(self) -> Mapping[int, str]:
        from tasklane.adapters.sqs import CALLBACKS

        lanes, callbacks = self.settings.dead_letter_urls, self.settings.callback_dead_letter_url
        if not lanes or not callbacks:
            raise ConfigurationError("TASKLANE_DEAD_LETTER_URLS or TASKLANE_CALLBACK_DEAD_LETTER_URL is missing.")
        return {**lanes, CALLBACKS: callbacks}

    def _client(self, service: Any, read_seconds: int = READ_SECONDS) -> Any:
        import boto3

        with _making_a_client:
            return boto3.client(service, config=client_config(service, read_seconds))


def client_config(service: str, read_seconds: int = READ_SECONDS) -> "Config":
    """How a client of this service behaves."""
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=20,
        tcp_keepalive=True,
        # Said, because URLs would still be signed with version 2, which newer regions do not know.
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path"},
    )


def _health(check: Callable[[], None]) -> str:
    try:
        check()
    except Unavailable as exc:
        return str(exc)
    return "ok"


@cache
def function_services() -> Services:
    """The services of this Lambda function or process, made once, from its environment."""
    return Services()
