"""Under which role a process of the local run works: its function's own, so that a missing permission shows here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_iam import IAMClient

    from infra.local.clients import Clients
    from infra.local.deployment import Deployment
    from infra.local.target import Target

WORKER_POLICY = "debug-worker"
PROFILE = "function"


def open_api_role(clients: Clients, deployment: Deployment, *, as_worker: bool) -> None:
    """Let the account assume the API function's role.

    as_worker: the role may also do what the worker's may, because the worker then runs in the API's process.
    """
    iam = clients.iam
    open_role(iam, deployment.api_function_role_arn)
    role = _name(deployment.api_function_role_arn)
    _lend(iam, _name(deployment.worker_function_role_arn), role, lend=as_worker)


def open_role(iam: IAMClient, role_arn: str) -> None:
    """Let the account assume a function's role."""
    account = role_arn.split(":")[4]
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com", "AWS": f"arn:aws:iam::{account}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    iam.update_assume_role_policy(RoleName=_name(role_arn), PolicyDocument=json.dumps(trust))


def write_profile(target: Target, role_arn: str, folder: Path) -> dict[str, str]:
    """Write an SDK profile that assumes a function's role, and give the variables that select it.

    The SDK then fetches and renews the role's session by itself. A target whose credentials are no plain keys (an
    AWS_PROFILE of the developer's) is used as it is.
    """
    variables = dict(target.variables)
    if "AWS_ACCESS_KEY_ID" not in variables:
        return variables
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    account = "\n".join(f"{key.lower()} = {variables.pop(key)}" for key in keys if key in variables)
    config = folder / f"aws-config-{_name(role_arn)}"
    config.touch(mode=0o600)
    config.write_text(
        f"[profile account]\n{account}\n\n"
        f"[profile {PROFILE}]\nrole_arn = {role_arn}\n"
        f"role_session_name = local\nsource_profile = account\n",
        encoding="utf-8",
    )
    return variables | {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config.with_name("none")),
        "AWS_PROFILE": PROFILE,
    }


def _lend(iam: IAMClient, lender: str, borrower: str, *, lend: bool) -> None:
    if lend:
        policy = {"Version": "2012-10-17", "Statement": _statements(iam, lender)}
        iam.put_role_policy(RoleName=borrower, PolicyName=WORKER_POLICY, PolicyDocument=json.dumps(policy))
    elif WORKER_POLICY in iam.list_role_policies(RoleName=borrower)["PolicyNames"]:
        iam.delete_role_policy(RoleName=borrower, PolicyName=WORKER_POLICY)


def _statements(iam: IAMClient, role: str) -> list[Any]:
    """All that a role may: the template's own policy, and what gaps.py adds for the engine's other names."""
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies: list[Any] = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    return [statement for policy in policies for statement in policy["Statement"]]


def _name(role_arn: str) -> str:
    return role_arn.rsplit("/", 1)[-1]
