"""What a deployed stack is made of, read from its outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LANES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The names of a deployed stack; each field is the output of the same name in template.yaml (Outputs)."""

    api_url: str
    http_api_id: str
    tasks_table_name: str
    control_table_name: str
    documents_bucket_name: str
    lane1_queue_url: str
    lane2_queue_url: str
    lane3_queue_url: str
    lane4_queue_url: str
    lane5_queue_url: str
    callback_queue_url: str
    api_function_name: str
    api_function_role_arn: str
    worker_function_name: str
    worker_function_role_arn: str
    callback_function_name: str
    callback_function_role_arn: str
    sweeper_function_name: str
    sweeper_function_role_arn: str
    cleaner_function_name: str

    @property
    def lane_queue_urls(self) -> tuple[str, ...]:
        """URLs of the lanes, lane 1 first."""
        return (
            self.lane1_queue_url,
            self.lane2_queue_url,
            self.lane3_queue_url,
            self.lane4_queue_url,
            self.lane5_queue_url,
        )

    @property
    def function_names(self) -> Mapping[str, str]:
        """Names of the functions by the word that the project uses for each."""
        return {
            "api": self.api_function_name,
            "worker": self.worker_function_name,
            "callbacks": self.callback_function_name,
            "sweeper": self.sweeper_function_name,
            "cleaner": self.cleaner_function_name,
        }

    @property
    def role_names(self) -> tuple[str, ...]:
        """Names of the functions' roles."""
        arns = (
            self.api_function_role_arn,
            self.worker_function_role_arn,
            self.callback_function_role_arn,
            self.sweeper_function_role_arn,
        )
        return tuple(arn.rsplit("/", 1)[-1] for arn in arns)


def from_outputs(outputs: Mapping[str, str]) -> Deployment:
    """Build it from a stack's outputs; more outputs than fields are welcome."""
    named = {_snake(name): value for name, value in outputs.items()}
    return Deployment(**{field.name: named[field.name] for field in fields(Deployment)})


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
