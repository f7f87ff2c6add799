"""Deploys template.yaml itself to the target, through CloudFormation, as `sam deploy` would."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from infra import template as templates
from infra.local import deployment, gaps
from infra.local.errors import LocalRunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

    from infra.local.deployment import Deployment
    from infra.local.package import Package
    from infra.local.target import Target

STACK = "tasklane-local"
CODE_BUCKET = "tasklane-local-code"
DEPLOY_SECONDS = 120.0
POLL_SECONDS = 0.03


def deploy(target: Target, package: Package, *, webhook_secret: str) -> Deployment:
    """Create the stack, or update it to this code and template; returns its names when everything works.

    webhook_secret: signs the callbacks (whsec_…). Raises LocalRunError with CloudFormation's reasons.
    """
    parameters = templates.parameters()
    _put_code(target, package)
    _put_secret(target, parameters["WebhookSecretsParameterName"], webhook_secret)
    template = templates.with_code(templates.load(), f"s3://{CODE_BUCKET}/{package.key}")
    gaps.strip_all(template, parameters)
    outputs = _create_or_update(target, template, parameters)
    deployed = deployment.from_outputs(outputs)
    gaps.fix_all(target, deployed)
    return deployed


def set_lanes(target: Target, deployed: Deployment, *, enabled: bool) -> None:
    """Let the engine's own worker function read the lanes, or leave them to the poller."""
    functions = boto3.client("lambda", **target.client_options)
    mappings = functions.list_event_source_mappings(FunctionName=deployed.worker_function_name)
    for mapping in mappings["EventSourceMappings"]:
        if (mapping["State"] in ("Enabled", "Enabling")) != enabled:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


def _put_code(target: Target, package: Package) -> None:
    s3 = boto3.client("s3", **target.client_options)
    try:
        s3.head_object(Bucket=CODE_BUCKET, Key=package.key)
    except ClientError:
        s3.create_bucket(Bucket=CODE_BUCKET)
        s3.put_object(Bucket=CODE_BUCKET, Key=package.key, Body=package.content)


def _put_secret(target: Target, name: str, value: str) -> None:
    ssm = boto3.client("ssm", **target.client_options)
    ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def _create_or_update(target: Target, template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, str]:
    cloudformation = boto3.client("cloudformation", **target.client_options)
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
    return _wait(cloudformation)


def _wait(cloudformation: CloudFormationClient) -> dict[str, str]:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        stack = _stack(cloudformation)
        status = stack["StackStatus"] if stack else ""
        if stack and status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if status.endswith(("FAILED", "ROLLBACK_COMPLETE")):
            raise LocalRunError(f"template.yaml did not deploy ({status}):\n{_reasons(cloudformation)}")
        time.sleep(POLL_SECONDS)
    raise LocalRunError(f"template.yaml did not deploy within {DEPLOY_SECONDS:.0f} s:\n{_reasons(cloudformation)}")


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
