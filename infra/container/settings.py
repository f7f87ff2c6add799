"""What a role's process is told by its environment, beside the installation's own settings (tasklane.settings)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasklane.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

VARIABLES: Final = {
    "HOST": "host",
    "PORT": "port",
    "TASKLANE_RUNNERS": "runners",
    "TASKLANE_POLL_SECONDS": "poll_seconds",
    "TASKLANE_STOP_SECONDS": "stop_seconds",
    "TASKLANE_SWEEP_SECONDS": "sweep_seconds",
}
"""The variables, and the field that each fills."""
LAST_SECONDS: Final = 3.0
"""Kept back from the time that a process has to end, for its last requests."""


class ProcessSettings(BaseModel):
    """The settings of a process; the defaults suit a container that Docker stops after its usual ten seconds."""

    model_config = ConfigDict(frozen=True)

    host: str = "0.0.0.0"  # noqa: S104 - inside a container, where the network namespace is the boundary
    """The address that the API, or the health page of another role, listens on."""
    port: int = Field(default=8000, ge=1, le=65_535)
    """The port of both."""
    runners: int = Field(default=1, ge=1, le=64)
    """How many batches of up to ten messages a worker, or a sender of callbacks, works on side by side."""
    poll_seconds: int = Field(default=5, ge=0, le=20)
    """How long one look into an empty queue waits; so long may the end of an idle process take."""
    stop_seconds: int = Field(default=10, ge=5, le=3600)
    """How long this process is given to end, from SIGTERM to SIGKILL."""
    sweep_seconds: float = Field(default=60, ge=1, le=60)
    """How far apart sweeps begin."""

    @model_validator(mode="after")
    def _ends_in_time(self) -> ProcessSettings:
        if self.poll_seconds > self.seconds_to_stop:
            raise ValueError(
                f"TASKLANE_POLL_SECONDS must be at least {LAST_SECONDS:g} less than TASKLANE_STOP_SECONDS, or what is "
                f"received last is lost with the process, and comes again only when its visibility timeout ends"
            )
        return self

    @property
    def seconds_to_stop(self) -> float:
        """How long what runs may go on after SIGTERM."""
        return self.stop_seconds - LAST_SECONDS


def read_process_settings(environment: Mapping[str, str] = os.environ) -> ProcessSettings:
    """The settings in ``environment``. Raises ConfigurationError that names each wrong variable."""
    given = {field: environment[name] for name, field in VARIABLES.items() if environment.get(name)}
    try:
        return ProcessSettings.model_validate(given)
    except ValidationError as exc:
        names: dict[tuple[int | str, ...], str] = {(field,): f"{name}: " for name, field in VARIABLES.items()}
        wrong = "; ".join(names.get(error["loc"], "") + error["msg"] for error in exc.errors())
        raise ConfigurationError(f"Settings are wrong: {wrong}") from exc


def complete(role: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Give the libraries what Lambda and template.yaml give them there, where nobody else has."""
    if region := environment.get("AWS_REGION"):
        environment.setdefault("AWS_DEFAULT_REGION", region)  # boto3 reads only this one
    environment.setdefault("POWERTOOLS_SERVICE_NAME", role)
    environment.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Tasklane")
