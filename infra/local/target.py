"""Where AWS is: the embedded engine, or the one that AWS_ENDPOINT_URL names.

Everything in Tasklane takes its endpoint and credentials from the SDK's own variables. A Target holds these variables:
for the processes that the run starts, and as arguments for the clients of the run itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
ACCOUNT_KEY = "test"  # what the engine takes for the account itself (root)


class ClientOptions(TypedDict):
    """Arguments of `boto3.client`; None leaves it to the SDK."""

    endpoint_url: str | None
    region_name: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """An AWS endpoint, as the SDK's own variables."""

    variables: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        """Base URL of the engine."""
        return self.variables["AWS_ENDPOINT_URL"]

    @property
    def client_options(self) -> ClientOptions:
        """The same as arguments of `boto3.client`."""
        get = self.variables.get
        return {
            "endpoint_url": get("AWS_ENDPOINT_URL"),
            "region_name": get("AWS_REGION") or get("AWS_DEFAULT_REGION"),
            "aws_access_key_id": get("AWS_ACCESS_KEY_ID"),
            "aws_secret_access_key": get("AWS_SECRET_ACCESS_KEY"),
            "aws_session_token": get("AWS_SESSION_TOKEN"),
        }


def at_port(port: int) -> Target:
    """Give the target for an engine of ours on this port of 127.0.0.1."""
    return _target({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})


def from_environment() -> Target | None:
    """Give the target that AWS_ENDPOINT_URL names; None if it is not set."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        return None
    return _target({name: value for name, value in os.environ.items() if name.startswith("AWS_") and value})


def without_sdk_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would send a process to another account: the developer's own AWS variables."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def _target(given: Mapping[str, str]) -> Target:
    variables = dict(given)
    region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or REGION
    variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if not any(name in variables for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE")):
        variables |= {"AWS_ACCESS_KEY_ID": ACCOUNT_KEY, "AWS_SECRET_ACCESS_KEY": ACCOUNT_KEY}
    return Target(variables=variables)
