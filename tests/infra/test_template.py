"""template.yaml is what AWS gets: its rules are tests here, because no deploy on a laptop would notice a broken one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from infra import template, template_lint
from infra.local.deployment import from_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

Resources = dict[str, dict[str, Any]]

QUEUES = [*(f"Lane{lane}Queue" for lane in range(1, 6)), "CallbackQueue"]
FUNCTIONS = ["ApiFunction", "WorkerFunction", "CallbackFunction", "SweeperFunction", "CleanerFunction"]
HOLDS_DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")
STAR_ALLOWED = {
    "WriteTraces": "X-Ray has no resources to name",
    "ListStreams": "the action has no resources to name, and Lambda's check of a stream's mapping asks for it",
}
PARAMETER_SETS = ["defaults", "default", "dev", "prod"]


@pytest.fixture(scope="module")
def resources(expanded_template: dict[str, Any]) -> Resources:
    found: Resources = expanded_template["Resources"]
    return found


def of_type(resources: Resources, *types: str) -> Resources:
    return {name: resource for name, resource in resources.items() if resource["Type"] in types}


def target_of(reference: Any) -> str:
    """The logical id in a Ref or GetAtt."""
    return str(reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                text, names = inner if isinstance(inner, list) else (inner, {})
                yield from (name for name in re.findall(r"\$\{([A-Za-z0-9:]+)", text) if name not in names)
                yield from references(names)
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def chosen_parameters(raw_template: dict[str, Any], environment: str) -> dict[str, str]:
    defaults = {name: str(declared["Default"]) for name, declared in raw_template["Parameters"].items()}
    return defaults if environment == "defaults" else defaults | template.parameters(environment)


def statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in of_type(resources, "AWS::IAM::Role", "AWS::IAM::ManagedPolicy").items():
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for document in documents:
            for statement in document["Statement"]:
                yield from ((name, one) for one in either(statement))


def either(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement, or all that a condition chooses from."""
    if "Fn::If" in statement:
        for one in statement["Fn::If"][1:]:
            yield from either(one)
    elif statement != {"Ref": "AWS::NoValue"}:
        yield statement


# ----------------------------------------------------------------------------------------------------------------------
# As a whole
# ----------------------------------------------------------------------------------------------------------------------


def test_lints_as_it_stands_and_as_sam_expands_it() -> None:
    assert template_lint.all_problems() == []


def test_the_lint_sees_what_only_the_expansion_shows(raw_template: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(raw_template))
    broken["Globals"]["Function"]["Environment"]["Variables"]["TASKLANE_BUCKET"] = {"Ref": "DocumentsBuckt"}

    found = template_lint.problems(json.dumps(template.expand(broken), indent=1), "broken")

    assert any("DocumentsBuckt" in problem for problem in found)


def test_names_nothing_that_is_not_there(expanded_template: dict[str, Any]) -> None:
    known = {*expanded_template["Resources"], *expanded_template["Parameters"]}
    named = set(references(expanded_template["Resources"])) | set(references(expanded_template["Outputs"]))
    assert {name for name in named if not name.startswith("AWS::")} - known == set()


def test_every_parameter_is_used(raw_template: dict[str, Any]) -> None:
    rest = {section: body for section, body in raw_template.items() if section != "Parameters"}
    assert set(raw_template["Parameters"]) - set(references(rest)) == set()


def test_fits_into_one_request() -> None:
    assert len(json.dumps(template.load(), separators=(",", ":"))) < 51_200


def test_gives_the_outputs_that_a_deployment_reads(raw_template: dict[str, Any]) -> None:
    from_outputs(dict.fromkeys(raw_template["Outputs"], "value"))


@pytest.mark.parametrize("environment", ["default", "dev", "prod"])
def test_samconfig_sets_only_parameters_that_exist(raw_template: dict[str, Any], environment: str) -> None:
    assert set(template.parameters(environment)) <= set(raw_template["Parameters"])


def test_needs_no_named_iam_and_no_metric_math(resources: Resources) -> None:
    assert not [name for name, role in of_type(resources, "AWS::IAM::Role").items() if "RoleName" in role["Properties"]]
    alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()
    assert not [alarm for alarm in alarms if "Metrics" in alarm["Properties"]]


def test_an_idle_installation_stays_within_the_free_alarms(resources: Resources) -> None:
    assert len(of_type(resources, "AWS::CloudWatch::Alarm")) <= 10


# ----------------------------------------------------------------------------------------------------------------------
# Data
# ----------------------------------------------------------------------------------------------------------------------


def test_nothing_that_holds_data_goes_with_the_stack(resources: Resources) -> None:
    for name, resource in of_type(resources, *HOLDS_DATA).items():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name


def test_tables_expire_recover_and_encrypt(resources: Resources) -> None:
    tables = of_type(resources, "AWS::DynamoDB::Table")
    assert set(tables) == {"TasksTable", "ControlTable"}
    for table in tables.values():
        properties = table["Properties"]
        assert properties["TimeToLiveSpecification"] == {"AttributeName": "delete_at", "Enabled": True}
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_indexes_are_sharded_and_carry_keys_only(resources: Resources) -> None:
    indexes = resources["TasksTable"]["Properties"]["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {"due", "recent", "outcome", "line", "pull"}
    for index in indexes:
        if index["IndexName"] in ("line", "pull"):  # a line's shards are part of its name, and one query asks all pulls
            assert [key["AttributeName"] for key in index["KeySchema"]] == [index["IndexName"], "line_rank"]
        else:
            assert index["KeySchema"][0] == {"AttributeName": "shard", "KeyType": "HASH"}
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_bucket_is_private_encrypted_and_cleaned_up(resources: Resources) -> None:
    properties = resources["DocumentsBucket"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["BucketEncryption"]
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["abort-multipart"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1
    year = 366
    assert rules["expire"]["ExpirationInDays"] > 3 * year, "a year ahead, rescheduled by another, and kept for a year"


def test_the_bucket_refuses_plain_http(resources: Resources) -> None:
    [statement] = resources["DocumentsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


# ----------------------------------------------------------------------------------------------------------------------
# Queues
# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_gives_up_into_a_dead_letter_queue_that_keeps_longer_and_rings(
    resources: Resources, queue: str
) -> None:
    properties = resources[queue]["Properties"]
    dead_letters = target_of(properties["RedrivePolicy"]["deadLetterTargetArn"])

    assert properties["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert (
        resources[dead_letters]["Properties"]["MessageRetentionPeriod"]
        > properties["MessageRetentionPeriod"]
        > properties["VisibilityTimeout"]
    )
    watched = [
        target_of(alarm["Properties"]["Dimensions"][0]["Value"])
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    ]
    assert watched.count(dead_letters) == 1


def test_every_queue_is_a_lane_a_callback_queue_or_a_dead_letter_queue_of_its_own(resources: Resources) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    dead_letters = [target_of(queues[name]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]) for name in QUEUES]
    assert sorted(queues) == sorted([*QUEUES, *dead_letters])
    assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in queues.values())


def queue_mappings(resources: Resources) -> list[dict[str, Any]]:
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    return [one for one in mappings if target_of(one["Properties"]["EventSourceArn"]) in QUEUES]


def test_the_cleaner_is_called_only_for_removed_tasks_that_keep_documents(resources: Resources) -> None:
    [mapping] = [
        one["Properties"]
        for one in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if target_of(one["Properties"]["EventSourceArn"]) == "TasksTable"
    ]
    [rule] = mapping["FilterCriteria"]["Filters"]
    assert json.loads(rule["Pattern"]) == {
        "eventName": ["REMOVE"],
        "dynamodb": {"OldImage": {"has_blobs": {"BOOL": [True]}}},
    }
    assert resources["TasksTable"]["Properties"]["StreamSpecification"] == {"StreamViewType": "OLD_IMAGE"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["MaximumRetryAttempts"] == -1, "tried for as long as the stream keeps the record"


def test_visibility_is_six_times_the_timeout_of_the_function_that_reads_the_queue(resources: Resources) -> None:
    mappings = queue_mappings(resources)
    assert len(mappings) == len(QUEUES)
    for mapping in mappings:
        queue = resources[target_of(mapping["Properties"]["EventSourceArn"])]["Properties"]
        function = resources[target_of(mapping["Properties"]["FunctionName"])]["Properties"]
        assert queue["VisibilityTimeout"] == 6 * function["Timeout"]


def test_batches_of_ten_report_their_failures_one_by_one_and_wait_for_nothing(resources: Resources) -> None:
    for mapping in queue_mappings(resources):
        properties = mapping["Properties"]
        assert properties["BatchSize"] == 10
        assert properties["MaximumBatchingWindowInSeconds"] == 0
        assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize("environment", PARAMETER_SETS)
def test_the_lanes_never_ask_for_more_than_the_worker_reserves(raw_template: dict[str, Any], environment: str) -> None:
    parameters = chosen_parameters(raw_template, environment)
    lanes = [int(parameters[f"Lane{lane}MaximumConcurrency"]) for lane in range(1, 6)]
    reserved = int(parameters["WorkerReservedConcurrency"])

    assert min(lanes) >= 2, "the least that AWS takes"
    assert reserved == 0 or sum(lanes) <= reserved


# ----------------------------------------------------------------------------------------------------------------------
# Functions and permissions
# ----------------------------------------------------------------------------------------------------------------------


def test_functions_run_on_arm_with_the_runtime_that_the_project_names(resources: Resources) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    assert sorted(functions) == sorted(FUNCTIONS)
    for function in functions.values():
        assert function["Properties"]["Architectures"] == ["arm64"]
        assert function["Properties"]["Runtime"] == "python3.13"


def test_only_the_functions_that_feed_themselves_may_loop(resources: Resources) -> None:
    loops = {
        name: function["Properties"].get("RecursiveLoop")
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    assert loops == {
        "ApiFunction": None,
        "WorkerFunction": "Allow",
        "CallbackFunction": "Allow",
        "SweeperFunction": None,
        "CleanerFunction": None,
    }


def test_every_log_group_forgets(resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert all(group["Properties"]["RetentionInDays"] for group in groups.values())
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert target_of(function["Properties"]["LoggingConfig"]["LogGroup"]) in groups


def test_a_role_belongs_to_one_function_and_has_no_managed_policy(resources: Resources) -> None:
    for name in FUNCTIONS:
        assert target_of(resources[name]["Properties"]["Role"]) == f"{name}Role"
        assert "ManagedPolicyArns" not in resources[f"{name}Role"]["Properties"]


def test_no_statement_names_every_resource_or_every_action(resources: Resources) -> None:
    found = list(statements(resources))
    assert len(found) > 20
    for role, statement in found:
        sid = statement.get("Sid", role)
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], sid
        assert (statement["Resource"] == "*") == (sid in STAR_ALLOWED), sid


def test_a_statement_is_about_one_service_and_one_kind_of_resource(resources: Resources) -> None:
    for _, statement in statements(resources):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert len({action.split(":")[0] for action in actions}) == 1, statement["Sid"]
        if isinstance(statement["Resource"], list):
            kinds = {resources[target]["Type"] for target in references(statement["Resource"])}
            assert len(kinds) == 1, statement["Sid"]


def test_partiql_names_the_tasks_table_and_nothing_else(resources: Resources) -> None:
    """The engine authorizes PartiQL by another action (gaps.py), so that nothing else would notice a wrong table."""
    partiql = [
        (role, statement)
        for role, statement in statements(resources)
        if any(action.startswith("dynamodb:PartiQL") for action in statement["Action"])
    ]
    writers = set(FUNCTIONS) - {"CleanerFunction"}
    assert {role for role, _ in partiql} == {f"{name}Role" for name in writers}
    for _, statement in partiql:
        assert statement["Resource"] == {"Fn::GetAtt": ["TasksTable", "Arn"]}


def test_mail_leaves_from_the_worker_and_from_its_sender_only(resources: Resources) -> None:
    """The engine knows no identities in its policies (gaps.py), so that nothing else would notice."""
    [(role, statement)] = [found for found in statements(resources) if "ses:SendEmail" in found[1]["Action"]]
    assert role == "WorkerFunctionRole"
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailSender"}}}
    assert statement["Resource"]["Fn::Sub"].endswith(":identity/*")
    variables = resources["WorkerFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["TASKLANE_MAIL_SENDER"] == {"Ref": "MailSender"}


def test_the_api_reads_dead_letters_and_no_lane(resources: Resources) -> None:
    readers = {
        role: {target_of(one) for one in statement["Resource"]}
        for role, statement in statements(resources)
        if "sqs:ReceiveMessage" in statement["Action"] and isinstance(statement["Resource"], list)
    }
    dead_letters = {target_of(resources[q]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]) for q in QUEUES}
    assert readers == {"ApiFunctionRole": dead_letters, "WorkerFunctionRole": set(QUEUES) - {"CallbackQueue"}}


def test_the_api_knows_the_dead_letter_queues_lane_1_first(resources: Resources) -> None:
    variables = resources["ApiFunction"]["Properties"]["Environment"]["Variables"]
    urls = [{"Ref": f"Lane{lane}DeadLetterQueue"} for lane in range(1, 6)]
    assert variables["TASKLANE_DEAD_LETTER_URLS"] == {"Fn::Join": [",", urls]}
    assert variables["TASKLANE_CALLBACK_DEAD_LETTER_URL"] == {"Ref": "CallbackDeadLetterQueue"}


def test_a_secret_never_stands_in_the_template(raw_template: dict[str, Any]) -> None:
    assert "whsec_" not in json.dumps({k: v for k, v in raw_template.items() if k != "Parameters"})
    variables = raw_template["Resources"]["CallbackFunction"]["Properties"]["Environment"]["Variables"]
    for variable in ("TASKLANE_WEBHOOK_SECRETS", "TASKLANE_TENANT_WEBHOOK_SECRETS"):
        assert {next(iter(one)) for one in variables[variable]["Fn::If"][1:]} == {"Ref"}, "where it is, not what"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_deployed_installation_never_reaches_loopback(raw_template: dict[str, Any], environment: str) -> None:
    assert chosen_parameters(raw_template, environment)["AllowLoopback"] == "false"


def test_loopback_is_refused_by_a_rule_unless_the_stage_is_local(raw_template: dict[str, Any]) -> None:
    rule = raw_template["Rules"]["LoopbackOnlyLocally"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "AllowLoopback"}, "true"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "Stage"}, "local"]}


# ----------------------------------------------------------------------------------------------------------------------
# Ways in
# ----------------------------------------------------------------------------------------------------------------------


def test_the_api_refuses_calls_that_are_not_signed(resources: Resources) -> None:
    routes = resources["HttpApi"]["Properties"]["Body"]["paths"]
    assert list(routes) == ["$default"]
    assert routes["$default"]["x-amazon-apigateway-any-method"]["security"] == [{"AWS_IAM": []}]


def test_the_api_is_throttled_and_logs_every_call(resources: Resources) -> None:
    [stage] = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    properties = stage["Properties"]
    assert properties["StageName"] == "$default"
    assert properties["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ApiThrottlingRate"}
    json.loads(properties["AccessLogSettings"]["Format"])


def test_the_sweeper_runs_every_minute_and_rings_when_it_does_not(resources: Resources) -> None:
    [schedule] = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}-sweeper"}, "each stack has its own"
    alarm = resources["SweeperErrorAlarm"]["Properties"]
    assert alarm["TreatMissingData"] == "breaching"
