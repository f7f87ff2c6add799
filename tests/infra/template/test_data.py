"""What holds data outlives the stack, expires, and is encrypted."""

from __future__ import annotations

from tests.infra.template.conftest import Resources, of_type

HOLDS_DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")


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
