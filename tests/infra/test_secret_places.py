"""Where signing secrets may lie: the callback function finds them there under its own role, and nothing else."""

from __future__ import annotations

import base64
import itertools
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra import template as templates
from infra.local import clients, gaps, package, provision
from infra.local.deployment import from_outputs
from tasklane.adapters.signing_secrets import StoredSigningSecrets, place_of
from tests.e2e.local_run import ROOT
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from infra.local.clients import Clients
    from infra.local.engine import Engine

pytestmark = pytest.mark.engine

INSTALLATION = {"ssm": "WebhookSecretsParameterName", "secretsmanager": "WebhookSecretsArn"}
OWN = {"ssm": "TenantWebhookSecretsPath", "secretsmanager": "TenantWebhookSecretsArn"}
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret"
TENANTS = ("acme", "auth0|4711")
CODE = package.build(ROOT / "functions")
_stacks = itertools.count(1)


def a_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(24)).decode()}"


@pytest.fixture(scope="module")
def aws(running_engine: Engine) -> Clients:
    connected = clients.connect(running_engine.target)
    provision._put_code(connected, CODE)
    return connected


@dataclass(frozen=True, kw_only=True)
class Place:
    """Somewhere to keep secrets; a new one each time."""

    running: Engine
    in_ssm: bool
    root: str

    def client(self, service: Any) -> Any:
        return boto3.client(service, **self.running.target.client_options)

    def keep(self, name: str, text: str) -> str:
        """Keep a text; gives what the template wants to know of it."""
        if self.in_ssm:
            self.client("ssm").put_parameter(Name=f"/{self.root}/{name}", Value=text, Type="SecureString")
            return f"/{self.root}/{name}"
        arn: str = self.client("secretsmanager").create_secret(Name=f"{self.root}/{name}", SecretString=text)["ARN"]
        return arn

    def root_of(self, one: str, name: str) -> str:
        """What the places of all that was kept begin with, by one of them."""
        return one[: one.index(f"/{name}")]


def a_stack(aws: Clients, parameters: dict[str, str]) -> dict[str, str]:
    """The outputs of a stack of its own with these parameters."""
    body, chosen = provision.read_template()
    chosen |= parameters
    name = f"places-{next(_stacks)}"
    aws.cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(templates.with_code(body, f"s3://{provision.CODE_BUCKET}/{CODE.key}")),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in chosen.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )

    def outputs() -> dict[str, str] | None:
        stack = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        assert "FAILED" not in stack["StackStatus"], stack
        found = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
        return found if stack["StackStatus"] == "CREATE_COMPLETE" else None

    made: dict[str, str] = wait_for(outputs, "the stack")
    return made


def under_the_role(running_engine: Engine, aws: Clients, arn: str) -> boto3.Session:
    role, account = arn.rsplit("/", 1)[-1], arn.split(":")[4]
    anybody = {"AWS": f"arn:aws:iam::{account}:root"}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": anybody, "Action": "sts:AssumeRole"}],
    }
    aws.iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    sts = boto3.client("sts", **running_engine.target.client_options)
    given = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")


def is_denied(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as exc:
        return exc.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    return False


@pytest.mark.parametrize("tenants", ["ssm", "secretsmanager", "nowhere"])
@pytest.mark.parametrize("installation", ["ssm", "secretsmanager"])
def test_the_callback_function_finds_its_secrets_and_no_others(
    running_engine: Engine, aws: Clients, installation: str, tenants: str
) -> None:
    root = f"tasklane/{installation}-{tenants}"
    home = Place(running=running_engine, in_ssm=installation == "ssm", root=root)
    others = Place(running=running_engine, in_ssm=tenants == "ssm", root=f"{root}/tenants")
    everybodys, own = a_secret(), {tenant: a_secret() for tenant in TENANTS}
    parameters = {"TenantWebhookSecretsPath": ""}
    parameters[INSTALLATION[installation]] = home.keep("webhook-secrets", everybodys)
    if tenants != "nowhere":
        for tenant, secret in own.items():
            name = place_of("", tenant).removeprefix("/")
            parameters[OWN[tenants]] = others.root_of(others.keep(name, secret), name)
    home.keep("something-else", "not for callbacks")
    others.keep("acme/something-else", "not for callbacks")

    outputs = a_stack(aws, parameters)
    gaps.allow_by_other_names(aws, from_outputs(outputs))
    session = under_the_role(running_engine, aws, outputs["CallbackFunctionRoleArn"])
    ssm = session.client("ssm", endpoint_url=running_engine.target.endpoint)
    secrets_manager = session.client("secretsmanager", endpoint_url=running_engine.target.endpoint)
    configured = aws.functions.get_function_configuration(FunctionName=outputs["CallbackFunctionName"])
    variables = configured["Environment"]["Variables"]
    port = StoredSigningSecrets(
        ssm=lambda: ssm,
        secrets_manager=lambda: secrets_manager,
        installation=variables["TASKLANE_WEBHOOK_SECRETS"],
        tenants=variables.get("TASKLANE_TENANT_WEBHOOK_SECRETS", ""),
    )

    expected = {tenant: (everybodys if tenants == "nowhere" else own[tenant],) for tenant in TENANTS}
    assert port.current([*TENANTS, "default"]) == expected | {"default": (everybodys,)}
    for name in (f"{root}/something-else", f"{root}/tenants/acme/something-else"):
        arn = f"{SECRET_ARN}:{name}"
        assert is_denied(secrets_manager.get_secret_value, SecretId=arn)
    assert allowed(aws, outputs["CallbackFunctionRoleArn"]) == {
        **allowance(installation, f"{root}/webhook-secrets", parameters.get("WebhookSecretsArn", "")),
        **allowance(tenants, f"{root}/tenants/*/webhook-secrets", f"{SECRET_ARN}:{root}/tenants/*/webhook-secrets*"),
    }


def allowance(kind: str, name: str, arn: str) -> dict[str, str]:
    """What the role may read where secrets are kept in this way: resource and action."""
    of_ssm = {f"arn:aws:ssm:us-east-1:000000000000:parameter/{name}": "ssm:GetParameters"}
    return {"ssm": of_ssm, "secretsmanager": {arn: "secretsmanager:GetSecretValue"}, "nowhere": {}}[kind]


def allowed(aws: Clients, arn: str) -> dict[str, str]:
    """What the template lets a role read of SSM and Secrets Manager."""
    role = arn.rsplit("/", 1)[-1]
    policy: Any = aws.iam.get_role_policy(RoleName=role, PolicyName="least-privilege")["PolicyDocument"]
    found = [(one["Resource"], one["Action"]) for one in policy["Statement"] if "Secrets" in one["Sid"]]
    return {resource: action for resource, (action,) in found}
