"""template.yaml is what AWS gets: its rules are tests, because no deploy on a laptop would notice a broken one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra import template, template_lint
from infra.local.deployment import from_outputs
from tests.infra.template.conftest import Resources, of_type, references


@pytest.mark.long
def test_lints_as_it_stands_and_as_sam_expands_it() -> None:
    assert template_lint.all_problems() == []


@pytest.mark.long
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
