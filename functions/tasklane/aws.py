"""The ports on AWS: settings → clients → adapters. Nothing else in Tasklane makes a client."""

import threading
from collections.abc import Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from tasklane.clock import SystemClock
from tasklane.errors import ConfigurationError
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
from tasklane.settings import Settings, read_settings

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


class AwsPorts:
    """Each port is made when it is first asked for, so that a function pays only for what it uses."""

    def __init__(self, settings: Settings | None = None, **given: Any) -> None:
        """``settings``: None reads the environment, once they are asked for. ``given`` ports take the place of AWS'."""
        if unknown := given.keys() - _names_of_ports():
            raise TypeError(f"there is no port named {', '.join(sorted(unknown))}")
        self._settings = settings
        # Where a cached property keeps what it has made: what is there already is not made.
        vars(self).update({name: port for name, port in given.items() if port is not None})

    @cached_property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self._settings or read_settings()

    @cached_property
    def clock(self) -> Clock:
        """Tells the time."""
        return SystemClock()

    @cached_property
    def store(self) -> TaskStore:
        """Keeps the tasks."""
        from tasklane.adapters.dynamodb import DynamoDbTaskStore

        return DynamoDbTaskStore(
            self._client("dynamodb"), self.settings.tasks_table, control_table=self.settings.control_table
        )

    @cached_property
    def control(self) -> ControlStore:
        """Keeps what people decide about the installation."""
        from tasklane.adapters.control import DynamoDbControlStore

        return DynamoDbControlStore(self._client("dynamodb"), self.settings.control_table)

    @cached_property
    def queue(self) -> TaskQueue:
        """Sends down the lanes."""
        from tasklane.adapters.sqs import SqsTaskQueue

        return SqsTaskQueue(self._client("sqs"), self.settings.lane_urls, self.clock)

    @cached_property
    def callback_queue(self) -> CallbackQueue:
        """Sends to the callback function."""
        from tasklane.adapters.sqs import SqsCallbackQueue

        return SqsCallbackQueue(self._client("sqs"), self.settings.callback_queue_url, self.clock)

    @cached_property
    def source(self) -> MessageSource:
        """Receives from lanes and callback queue, for the poller; keeps what was received from others."""
        from tasklane.adapters.sqs import SqsMessageSource

        return SqsMessageSource(cache(lambda: self._client("sqs", read_seconds=30)), self._queue_urls)

    @cached_property
    def dead_letters(self) -> MessageSource:
        """Receives from the dead-letter queues of lanes and callback queue."""
        from tasklane.adapters.sqs import SqsMessageSource

        return SqsMessageSource(cache(lambda: self._client("sqs")), self._dead_letter_urls, hold_seconds=HOLD_SECONDS)

    @cached_property
    def depths(self) -> QueueDepths:
        """Knows how full the queues are."""
        from tasklane.adapters.sqs import SqsQueueDepths

        return SqsQueueDepths(self._client("sqs"), self._queue_urls, self._dead_letter_urls)

    @cached_property
    def blobs(self) -> BlobStore:
        """Keeps large documents."""
        from tasklane.adapters.s3 import S3BlobStore

        return S3BlobStore(self._client("s3"), self.settings.bucket)

    @cached_property
    def http(self) -> Outbound:
        """Posts callbacks and downloads, behind the outbound guard."""
        from tasklane.adapters.http import HttpClient, OutboundGuard

        return HttpClient(OutboundGuard(allow_loopback=self.settings.allow_loopback))

    @cached_property
    def mailer(self) -> Mailer:
        """Sends mail for handlers; its client is made for the first one."""
        from tasklane.adapters.ses import SesMailer

        return SesMailer(lambda: self._client("sesv2"), self.settings.mail_sender)

    @cached_property
    def secrets(self) -> SigningSecrets:
        """Knows the signing secrets."""
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

    def _client(self, service: Any, read_seconds: float = READ_SECONDS) -> Any:
        import boto3

        with _making_a_client:
            return boto3.client(service, config=client_config(service, read_seconds))


def client_config(service: str, read_seconds: float = READ_SECONDS) -> "Config":
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


def _names_of_ports() -> set[str]:
    return {name for name, value in vars(AwsPorts).items() if isinstance(value, cached_property)} - {"settings"}
