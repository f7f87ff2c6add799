"""The settings of an installation: one typed model, read once, and only here, from the environment.

Endpoints, region and credentials are not among them: those are the AWS SDK's own variables (AWS_ENDPOINT_URL, …).
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tasklane.callback import CallbackTerms
from tasklane.errors import ConfigurationError
from tasklane.timing import Timing

PREFIX: Final = "TASKLANE_"
LANES: Final = 5


class Settings(BaseModel):
    """What every function knows. A function's own variables may be missing in the others."""

    model_config = ConfigDict(frozen=True)

    stage: str = "local"
    """The installation's name: local, dev, prod, …"""
    tasks_table: str
    """The table of tasks."""
    control_table: str
    """The table of limits, keys, schedules, counters and pauses."""
    bucket: str
    """Keeps large payloads and results."""
    lane_urls: Mapping[int, str]
    """The lanes' queues, by priority; five URLs separated by commas, lane 1 first."""
    callback_queue_url: str
    """The queue of callbacks that are due."""
    dead_letter_urls: Mapping[int, str] = Field(default_factory=dict)
    """The lanes' dead-letter queues, given like ``lane_urls``."""
    callback_dead_letter_url: str = ""
    """The callback queue's dead-letter queue."""
    webhook_secrets: str = ""
    """Where the signing secrets are: the name of an SSM SecureString, or the ARN of a secret in Secrets Manager."""
    tenant_webhook_secrets: str = ""
    """What the names, or the ARNs, of the tenants' own signing secrets begin with; empty: no tenant has its own."""
    callback_give_up_on_4xx: bool = False
    """Whether an answer of 4xx, other than 408 and 429, ends a callback at once, where its task does not say."""
    result_url_seconds: int = Field(default=3600, ge=60, le=43_200)
    """For how long a large result can be fetched from the address in its callback."""
    mail_sender: str = ""
    """The address that send_email sends from, verified in SES; empty: no mail is sent."""
    allow_loopback: bool = False
    """Callbacks and fetch_url may go to loopback addresses: in the local run, nowhere else."""
    recovery_seconds: int = Field(default=180, ge=1)
    """How long a task may go unseen before the sweeper looks at it."""
    retention_days: int = Field(default=30, ge=1)
    """How long a final task is kept."""
    tracing: bool = False
    """Whether to trace with X-Ray; False never imports the tracer."""

    @field_validator("lane_urls", "dead_letter_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        urls = [url.strip() for url in value.split(",")]
        if len(urls) != LANES or not all(urls):
            raise ValueError(f"must be {LANES} URLs separated by commas, lane 1 first")
        return dict(enumerate(urls, start=1))

    @property
    def timing(self) -> Timing:
        """The installation's times, as the use cases want them."""
        return Timing(recovery_ms=self.recovery_seconds * 1000, retention_seconds=self.retention_days * 86_400)

    @property
    def callback_terms(self) -> CallbackTerms:
        """What the installation decides about callbacks."""
        return CallbackTerms(give_up_on_4xx=self.callback_give_up_on_4xx, result_url_seconds=self.result_url_seconds)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in ``environment``. Raises ConfigurationError that names each wrong or missing variable."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value != ""})
    except ValidationError as exc:
        wrong = "; ".join(f"{PREFIX}{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors())
        raise ConfigurationError(f"Settings are missing or wrong: {wrong}") from exc
