"""Functions: how they run, what they are told, who calls them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.template.conftest import FUNCTIONS, Resources, chosen_parameters, of_type, target_of

# -- Functions and permissions -----------------------------------------------------------------------------------------


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


# -- Ways in -----------------------------------------------------------------------------------------------------------


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
