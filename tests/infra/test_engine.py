"""The embedded engine: starts on 127.0.0.1 only, gets template.yaml, and leaves nothing behind."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from infra import template as templates
from infra.local import clients, engine, gaps, package, provision, roles
from infra.local.engine import free_port
from infra.local.errors import LocalRunError
from tests.e2e.local_run import ROOT, is_listening, processes_naming
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.clients import Clients
    from infra.local.deployment import Deployment
    from infra.local.engine import Engine

pytestmark = pytest.mark.engine

SECRET = "whsec_" + "A" * 32


@pytest.fixture(scope="module")
def aws(running_engine: Engine) -> Clients:
    return clients.connect(running_engine.target)


@pytest.fixture(scope="module")
def deployed(aws: Clients) -> Deployment:
    return provision.deploy(aws, package.build(ROOT / "functions"), webhook_secret=SECRET)


# ----------------------------------------------------------------------------------------------------------------------
# Start and stop
# ----------------------------------------------------------------------------------------------------------------------


def test_three_run_side_by_side_each_with_its_own_state(tmp_path: Path) -> None:
    with ExitStack() as stack:
        engines = []
        for name in ("one", "two", "three"):
            (tmp_path / name).mkdir()
            engines.append(stack.enter_context(engine.running(port=free_port(), scratch=tmp_path / name)))
        for number, running in enumerate(engines):
            running.wait_until_ready()
            boto3.client("sqs", **running.target.client_options).create_queue(QueueName=f"queue-{number}")

        for number, running in enumerate(engines):
            urls = boto3.client("sqs", **running.target.client_options).list_queues()["QueueUrls"]
            assert [url.rsplit("/", 1)[-1] for url in urls] == [f"queue-{number}"]

    assert all(running.child.has_ended for running in engines)
    assert not processes_naming(str(tmp_path))


def test_listens_on_loopback_only(running_engine: Engine) -> None:
    port = int(running_engine.target.endpoint.rsplit(":", 1)[-1])
    assert is_listening(port)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as probe:
            assert probe.connect_ex((address, port)) != 0, address


def test_a_taken_port_names_the_variable_that_moves_it(tmp_path: Path, running_engine: Engine) -> None:
    port = int(running_engine.target.endpoint.rsplit(":", 1)[-1])
    with (
        pytest.raises(LocalRunError, match=rf"^Port {port} is taken: .*make run ENGINE_PORT={port + 1}\)\.$"),
        engine.running(port=port, scratch=tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_ends_at_once_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MODULE", "no.such.module")
    with (
        engine.running(port=free_port(), scratch=tmp_path) as broken,
        pytest.raises(LocalRunError, match=r"(?s)did not start.*make run ENGINE_PORT=.*No module named 'no"),
    ):
        broken.wait_until_ready()


def test_a_developers_own_aws_variables_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-developers-own")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with engine.running(port=free_port(), scratch=tmp_path) as running:
        running.wait_until_ready()
        identity = boto3.client("sts", **running.target.client_options).get_caller_identity()
        assert identity["Arn"].endswith(":root")


# ----------------------------------------------------------------------------------------------------------------------
# What is deployed
# ----------------------------------------------------------------------------------------------------------------------


def test_deploys_the_same_again_without_a_change(aws: Clients, deployed: Deployment) -> None:
    assert provision.deploy(aws, package.build(ROOT / "functions"), webhook_secret=SECRET) == deployed


def test_makes_up_for_what_the_engine_ignores(aws: Clients, deployed: Deployment) -> None:
    for table in (deployed.tasks_table_name, deployed.control_table_name):
        expiry = aws.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert expiry["AttributeName"] == "delete_at"
        assert expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    [route] = aws.apigateway.get_routes(ApiId=deployed.http_api_id)["Items"]
    assert (route["RouteKey"], route["AuthorizationType"]) == ("$default", "AWS_IAM")
    worker = aws.functions.get_function_recursion_config(FunctionName=deployed.worker_function_name)
    assert worker["RecursiveLoop"] == "Allow"


def test_the_lanes_keep_the_concurrency_of_the_template(aws: Clients, deployed: Deployment) -> None:
    mappings = aws.functions.list_event_source_mappings(FunctionName=deployed.worker_function_name)
    limits = [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings["EventSourceMappings"]]
    assert limits == [2, 2, 2, 2, 2]


def test_lanes_can_be_left_to_the_poller_and_given_back(aws: Clients, deployed: Deployment) -> None:
    def states() -> set[str]:
        mappings = aws.functions.list_event_source_mappings(FunctionName=deployed.worker_function_name)
        return {mapping["State"] for mapping in mappings["EventSourceMappings"]}

    provision.set_lanes(aws, deployed, enabled=False)
    wait_for(lambda: states() == {"Disabled"}, "the lanes' release")
    provision.set_lanes(aws, deployed, enabled=True)
    wait_for(lambda: states() == {"Enabled"}, "the lanes' return")


def test_the_signing_secret_is_kept_encrypted(aws: Clients, deployed: Deployment) -> None:
    name = "/tasklane/local/webhook-secrets"
    assert aws.ssm.get_parameter(Name=name)["Parameter"]["Value"] != SECRET
    assert aws.ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == SECRET


def test_loopback_is_refused_for_a_stage_that_is_not_local(aws: Clients, deployed: Deployment) -> None:
    template, _ = provision.read_template()
    code = f"s3://{provision.CODE_BUCKET}/{package.build(ROOT / 'functions').key}"
    with pytest.raises(ClientError, match="AllowLoopback is for the local run only"):
        aws.cloudformation.create_stack(
            StackName="deployed",
            TemplateBody=json.dumps(templates.with_code(template, code)),
            Parameters=[
                {"ParameterKey": "Stage", "ParameterValue": "prod"},
                {"ParameterKey": "AllowLoopback", "ParameterValue": "true"},
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )


# ----------------------------------------------------------------------------------------------------------------------
# Least privilege, as the engine enforces it
# ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_api(running_engine: Engine, aws: Clients, deployed: Deployment, tmp_path: Path) -> boto3.Session:
    """A session under the API function's role, as uvicorn gets it."""
    roles.open_api_role(aws, deployed, as_worker=False)
    sts = boto3.client("sts", **running_engine.target.client_options)
    given = sts.assume_role(RoleArn=deployed.api_function_role_arn, RoleSessionName="test")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")


def denied(call: object, **arguments: object) -> bool:
    try:
        call(**arguments)  # type: ignore[operator] # any client's method
    except ClientError as exc:
        return exc.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    return False


def test_the_api_may_write_and_remove_tasks_and_may_not_scan_for_them(
    as_api: boto3.Session, running_engine: Engine, deployed: Deployment
) -> None:
    dynamodb = as_api.client("dynamodb", endpoint_url=running_engine.target.endpoint)
    table, item = deployed.tasks_table_name, {"task_id": {"S": "a"}}

    assert not denied(dynamodb.put_item, TableName=table, Item=item)
    assert not denied(dynamodb.get_item, TableName=table, Key=item)
    assert not denied(dynamodb.delete_item, TableName=table, Key=item)
    assert denied(dynamodb.scan, TableName=table)
    control, key = deployed.control_table_name, {"pk": {"S": "a"}, "sk": {"S": "b"}}
    assert not denied(dynamodb.put_item, TableName=control, Item=key)
    assert not denied(dynamodb.delete_item, TableName=control, Key=key)
    assert denied(dynamodb.scan, TableName=control)


def test_the_api_may_run_partiql_under_the_engines_name_for_it(
    as_api: boto3.Session, running_engine: Engine, deployed: Deployment
) -> None:
    dynamodb = as_api.client("dynamodb", endpoint_url=running_engine.target.endpoint)
    statement = f"""UPDATE "{deployed.tasks_table_name}" SET "label"=? WHERE "task_id"=?"""
    parameters = [{"S": "x"}, {"S": "a"}]
    assert not denied(dynamodb.batch_execute_statement, Statements=[{"Statement": statement, "Parameters": parameters}])


def test_the_api_may_send_in_batches_and_may_not_receive_unless_it_debugs(
    as_api: boto3.Session, running_engine: Engine, aws: Clients, deployed: Deployment
) -> None:
    provision.set_lanes(aws, deployed, enabled=False)
    sqs = as_api.client("sqs", endpoint_url=running_engine.target.endpoint)
    lane = deployed.lane5_queue_url
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(2)]

    assert not denied(sqs.send_message_batch, QueueUrl=lane, Entries=entries)
    assert denied(sqs.receive_message, QueueUrl=lane)
    roles.open_api_role(aws, deployed, as_worker=True)
    assert not denied(sqs.receive_message, QueueUrl=lane)
    roles.open_api_role(aws, deployed, as_worker=False)
    assert denied(sqs.receive_message, QueueUrl=lane)
    provision.set_lanes(aws, deployed, enabled=True)


def test_the_api_may_redrive_dead_letters_and_may_not_send_any(
    as_api: boto3.Session, running_engine: Engine, deployed: Deployment, aws: Clients
) -> None:
    function = aws.functions.get_function_configuration(FunctionName=deployed.api_function_name)
    variables = function["Environment"]["Variables"]
    dead_letters = variables["TASKLANE_DEAD_LETTER_URLS"].split(",")
    assert len(dead_letters) == 5
    own = boto3.client("sqs", **running_engine.target.client_options)
    sqs = as_api.client("sqs", endpoint_url=running_engine.target.endpoint)
    for url in (*dead_letters, variables["TASKLANE_CALLBACK_DEAD_LETTER_URL"]):
        for body in ("given back", "removed"):
            own.send_message(QueueUrl=url, MessageBody=body)
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60)["Messages"]
        back, removed = ([{"Id": "0", "ReceiptHandle": one["ReceiptHandle"]}] for one in received)
        entries = [{**back[0], "VisibilityTimeout": 0}]
        assert not denied(sqs.change_message_visibility_batch, QueueUrl=url, Entries=entries)
        assert not denied(sqs.delete_message_batch, QueueUrl=url, Entries=removed)
        assert not denied(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
        assert denied(sqs.send_message, QueueUrl=url, MessageBody="x")
        assert denied(sqs.purge_queue, QueueUrl=url)


def test_the_profile_lets_the_sdk_assume_the_apis_role_by_itself(
    running_engine: Engine, aws: Clients, deployed: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles.open_api_role(aws, deployed, as_worker=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in roles.write_profile(running_engine.target, deployed.api_function_role_arn, tmp_path).items():
        monkeypatch.setenv(name, value)

    arn = boto3.Session().client("sts").get_caller_identity()["Arn"]

    assert deployed.api_function_role_arn.rsplit("/", 1)[-1] in arn


def test_roles_get_other_names_only_for_what_the_template_allows(aws: Clients, deployed: Deployment) -> None:
    name = deployed.worker_function_role_arn.rsplit("/", 1)[-1]
    policy = aws.iam.get_role_policy(RoleName=name, PolicyName="engine-names")["PolicyDocument"]
    document = policy if isinstance(policy, dict) else json.loads(policy)
    allowed = {action for statement in document["Statement"] for action in statement["Action"]}
    assert allowed == set(gaps.OTHER_NAMES.values()) - {"ssm:GetParameters"}
