"""Deploys template.yaml itself to the target, through CloudFormation, as `sam deploy` would."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra import template as templates
from infra.local import deployment, gaps
from infra.local.errors import LocalRunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

    from infra.local.clients import Clients
    from infra.local.deployment import Deployment
    from infra.local.package import Package

STACK = "tasklane-local"
CODE_BUCKET = "tasklane-local-code"
DEPLOY_SECONDS = 120.0
POLL_SECONDS = 0.03

Template = tuple[dict[str, Any], dict[str, str]]
"""A template that the engine can deploy, and its parameters."""


def read_template() -> Template:
    """Read template.yaml and the local run's parameters, without what the engine cannot deploy."""
    template, parameters = templates.load(), templates.parameters()
    gaps.strip_all(template, parameters)
    return template, parameters


def deploy(
    clients: Clients,
    package: Package,
    *,
    webhook_secret: str,
    template: Template | None = None,
) -> Deployment:
    """Create the stack, or update it to this code and template; returns its names when everything works.

    webhook_secret: signs the callbacks (whsec_…). template: what `read_template` gave, None reads it now.
    Raises LocalRunError with CloudFormation's reasons.
    """
    body, parameters = template or read_template()
    _put_code(clients, package)
    clients.ssm.put_parameter(
        Name=parameters["WebhookSecretsParameterName"], Value=webhook_secret, Type="SecureString", Overwrite=True
    )
    _verify_sender(clients, parameters["MailSender"])
    body = templates.with_code(body, f"s3://{CODE_BUCKET}/{package.key}")
    deployed = deployment.from_outputs(_create_or_update(clients.cloudformation, body, parameters))
    gaps.fix_all(clients, deployed)
    return deployed


def update_code(clients: Clients, deployed: Deployment, package: Package) -> None:
    """Give the functions this code; the stack itself stays as it is, which takes a fifth of the time of an update."""
    _put_code(clients, package)
    for name in deployed.function_names.values():
        clients.functions.update_function_code(FunctionName=name, S3Bucket=CODE_BUCKET, S3Key=package.key)


def set_lanes(clients: Clients, deployed: Deployment, *, enabled: bool) -> None:
    """Let the deployed worker function read the lanes, or leave them to the poller."""
    mappings = clients.functions.list_event_source_mappings(FunctionName=deployed.worker_function_name)
    for mapping in mappings["EventSourceMappings"]:
        if (mapping["State"] in ("Enabled", "Enabling")) != enabled:
            clients.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


def warm_up(clients: Clients, function_name: str) -> None:
    """Have a function that reads a queue imported before its first message comes; returns at once."""
    clients.functions.invoke(FunctionName=function_name, InvocationType="Event", Payload=b'{"Records": []}')


def _verify_sender(clients: Clients, address: str) -> None:
    """Make the sender of mail an identity; the engine takes it as verified, AWS asks its owner by mail."""
    with suppress(clients.ses.exceptions.AlreadyExistsException):
        clients.ses.create_email_identity(EmailIdentity=address)


def _put_code(clients: Clients, package: Package) -> None:
    try:
        clients.s3.head_object(Bucket=CODE_BUCKET, Key=package.key)
    except ClientError:
        clients.s3.create_bucket(Bucket=CODE_BUCKET)
        clients.s3.put_object(Bucket=CODE_BUCKET, Key=package.key, Body=package.content)


def _create_or_update(
    cloudformation: CloudFormationClient, template: dict[str, Any], parameters: Mapping[str, str]
) -> dict[str, str]:
    change = cloudformation.update_stack if _stack(cloudformation) else cloudformation.create_stack
    try:
        change(
            StackName=STACK,
            TemplateBody=json.dumps(template, separators=(",", ":")),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as exc:
        if "No updates are to be performed" not in str(exc):
            raise LocalRunError(f"The engine refused template.yaml: {exc}") from exc
        return _outputs(_stack(cloudformation))
    return _wait(cloudformation)


def _wait(cloudformation: CloudFormationClient) -> dict[str, str]:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        stack = _stack(cloudformation)
        status = stack["StackStatus"] if stack else ""
        if stack and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return _outputs(stack)
        if status.endswith(("FAILED", "ROLLBACK_COMPLETE")):
            raise LocalRunError(f"template.yaml did not deploy ({status}):\n{_reasons(cloudformation)}")
        time.sleep(POLL_SECONDS)
    raise LocalRunError(f"template.yaml did not deploy within {DEPLOY_SECONDS:.0f} s:\n{_reasons(cloudformation)}")


def _outputs(stack: StackTypeDef | None) -> dict[str, str]:
    outputs = stack.get("Outputs", []) if stack else []
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def _stack(cloudformation: CloudFormationClient) -> StackTypeDef | None:
    try:
        stacks = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    except ClientError:
        return None
    return next((stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"), None)


def _reasons(cloudformation: CloudFormationClient) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    return "\n".join(
        f"  {event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in failed
    )
