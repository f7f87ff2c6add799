"""What the engine does not do, each with what the local run does about it: the one open list.

A gap is handled in one of three ways: a part that the engine cannot take is stripped from the template before the
deploy, a part that it takes without effect is made up for after the deploy, or it is only named here because nothing
can be done about it (then its proof is on AWS, or in another test, which is named).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.clients import Clients
    from infra.local.deployment import Deployment


OTHER_NAMES = {
    "dynamodb:PartiQLInsert": "dynamodb:BatchExecuteStatement",
    "dynamodb:PartiQLUpdate": "dynamodb:BatchExecuteStatement",
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "ses:SendEmail": "ses:SendEmail",
    "ssm:GetParameters": "ssm:GetParameters",
}
"""What AWS asks for, and what the engine asks for in its place: in batches, or without naming the resource."""
UNNAMED = ("dynamodb:", "ses:", "ssm:")
"""What the engine asks for without naming the resource: it looks into no PartiQL, no mail, and no list of names."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One thing that AWS does and the engine does not, or does otherwise."""

    what: str
    handled: str
    strip: Callable[[dict[str, Any], Mapping[str, str]], None] | None = None
    fix: Callable[[Clients, Deployment], None] | None = None


def strip_all(template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """Take what the engine cannot deploy out of the template, in place."""
    for gap in GAPS:
        if gap.strip:
            gap.strip(template, parameters)


def fix_all(clients: Clients, deployment: Deployment) -> None:
    """Make up for what the engine deployed without effect; safe to repeat."""
    for gap in GAPS:
        if gap.fix:
            gap.fix(clients, deployment)


def set_time_to_live(clients: Clients, deployment: Deployment) -> None:
    """Switch on the expiry that the template names for both tables."""
    dynamodb = clients.dynamodb
    for table in (deployment.tasks_table_name, deployment.control_table_name):
        status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("TimeToLiveStatus")
        if status not in ("ENABLED", "ENABLING"):
            dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"AttributeName": "delete_at", "Enabled": True}
            )


def add_default_route(clients: Clients, deployment: Deployment) -> None:
    """Send every request of the HTTP API to the API function, signed as on AWS."""
    gateway = clients.apigateway
    if gateway.get_routes(ApiId=deployment.http_api_id)["Items"]:
        return
    function = clients.functions.get_function_configuration(FunctionName=deployment.api_function_name)
    integration = gateway.create_integration(
        ApiId=deployment.http_api_id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=function["FunctionArn"],
        PayloadFormatVersion="2.0",
    )
    gateway.create_route(
        ApiId=deployment.http_api_id,
        RouteKey="$default",
        Target=f"integrations/{integration['IntegrationId']}",
        AuthorizationType="AWS_IAM",
    )


def allow_by_other_names(clients: Clients, deployment: Deployment) -> None:
    """Let each role also do what the template allows it under the names by which the engine asks for it."""
    for role in deployment.role_names:
        policy: Any = clients.iam.get_role_policy(RoleName=role, PolicyName="least-privilege")["PolicyDocument"]
        statements = [other for statement in policy["Statement"] if (other := _by_other_names(statement))]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        if statements:
            clients.iam.put_role_policy(RoleName=role, PolicyName="engine-names", PolicyDocument=document)


def _by_other_names(statement: dict[str, Any]) -> dict[str, Any] | None:
    other = sorted({OTHER_NAMES[action] for action in statement["Action"] if action in OTHER_NAMES})
    if not other:
        return None
    resource = "*" if other[0].startswith(UNNAMED) else statement["Resource"]
    return {"Effect": "Allow", "Action": other, "Resource": resource}


def write_concurrency(template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """Replace the concurrency parameters by their numbers; nothing is reserved where that parameter is 0."""

    def number(name: str) -> int:
        return int(parameters.get(name, template["Parameters"][name]["Default"]))

    for function in ("WorkerFunction", "CallbackFunction"):
        for event in template["Resources"][function]["Properties"]["Events"].values():
            scaling = event["Properties"]["ScalingConfig"]
            scaling["MaximumConcurrency"] = number(scaling["MaximumConcurrency"]["Ref"])
    worker = template["Resources"]["WorkerFunction"]["Properties"]
    del worker["ReservedConcurrentExecutions"]
    if reserved := number("WorkerReservedConcurrency"):
        worker["ReservedConcurrentExecutions"] = reserved


def allow_recursive_loops(clients: Clients, deployment: Deployment) -> None:
    """Let the functions that send to the queue they read from do so more than 16 times in a row."""
    for name in (deployment.worker_function_name, deployment.callback_function_name):
        clients.functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")


def strip_tls_only(template: dict[str, Any], _: Mapping[str, str]) -> None:
    """Drop the bucket policy that refuses plain HTTP."""
    del template["Resources"]["DocumentsBucketPolicy"]


GAPS: tuple[Gap, ...] = (
    Gap(
        what="It is reached over plain HTTP on 127.0.0.1, and it does enforce the bucket policy that asks for TLS.",
        handled="The policy is stripped; tests/infra/template/test_data.py holds the template to it.",
        strip=strip_tls_only,
    ),
    Gap(
        what="A Number parameter reaches MaximumConcurrency and ReservedConcurrentExecutions as a string, over which "
        "its queue poller stumbles: no function is ever called.",
        handled="The numbers are written into the template before the deploy.",
        strip=write_concurrency,
    ),
    Gap(
        what="RecursiveLoop is ignored, while loops are cut off after 16 rounds as on AWS.",
        handled="Set after the deploy, for the functions whose template says Allow.",
        fix=allow_recursive_loops,
    ),
    Gap(
        what="TimeToLiveSpecification is ignored.",
        handled="Set after the deploy (it then deletes expired items).",
        fix=set_time_to_live,
    ),
    Gap(
        what="The HttpApi events of SAM make no routes.",
        handled="The $default route is added after the deploy, with the authorizer that the template asks for; the API "
        "is reached with the Host that the ready lines show.",
        fix=add_default_route,
    ),
    Gap(
        what="Batch requests are authorized under names of their own, which AWS does not have: SendMessageBatch "
        "instead of SendMessage and its like, BatchExecuteStatement instead of PartiQLUpdate and its like. SendEmail "
        "is authorized for no identity in particular, and ses:FromAddress is unknown. GetParameters is authorized for "
        "no name in particular.",
        handled="Each role gets, after the deploy, the other names of what the template allows it, on the same queues; "
        "whether PartiQL names the right table, SendEmail the sender, and GetParameters the secrets, is for "
        "tests/infra/template/test_permissions.py and tests/infra/test_secret_places.py.",
        fix=allow_by_other_names,
    ),
    Gap(
        what="Point-in-time recovery, the tables' own encryption, the bucket's lifecycle, API throttling and access "
        "logs are accepted without effect.",
        handled="Named here; tests/infra/template holds the template to them.",
    ),
    Gap(
        what="Runtime and Architectures are ignored: functions run under the interpreter and with the packages of "
        "the environment, so that a requirement missing from functions/requirements.txt is not noticed.",
        handled="Named here; the packaging tests run the built package.",
    ),
    Gap(
        what="Queues are not fair: a tenant's backlog is worked off before what came later, whoever sent it.",
        handled="Named here; tests/bench holds the worker and the poller to a model of SQS fair queues.",
    ),
    Gap(
        what="Memory, MaximumBatchingWindow and the visibility rule (6 x the timeout) are not enforced.",
        handled="Named here; tests/infra/template/test_queues.py holds the template to the rule.",
    ),
    Gap(
        what="A function's log lines arrive when its invocation ends, not while it runs.",
        handled="Named here; with DEBUG=1 the worker writes straight to the terminal.",
    ),
    Gap(
        what="/health on the API's own host is answered by the engine itself.",
        handled="Named here; every other path reaches the API function, and uvicorn serves /health.",
    ),
    Gap(
        what="New code kills the invocations that are under way.",
        handled="engine_process.py lets them end, as AWS does.",
    ),
    Gap(
        what="Queues are known by their URL, which names the engine's port: kept state works on the same port only.",
        handled="A run that finds state of another port says so (engine.py).",
    ),
    Gap(
        what="It keeps a temporary folder for each function process.",
        handled="Its TMPDIR lies in the run's scratch folder, which goes when the run ends.",
    ),
)
