"""Queues and what reads them: nothing is lost between a queue and its function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.template.conftest import QUEUES, Resources, chosen_parameters, of_type, target_of

PARAMETER_SETS = ["defaults", "default", "dev", "prod"]


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
