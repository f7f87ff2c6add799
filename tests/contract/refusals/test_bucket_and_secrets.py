"""What may not be read is not missing, and what is missing is not a refusal."""

from typing import Any

import pytest

from tasklane.adapters.s3 import S3BlobStore
from tasklane.adapters.signing_secrets import StoredSigningSecrets
from tasklane.errors import ConfigurationError, Unavailable
from tests.contract.refusals.conftest import stubbed
from tests.support.builders import OLDER_SECRET, SECRET


def test_an_object_that_may_not_be_read_is_unavailable_not_missing() -> None:
    with stubbed("s3") as (client, stub):
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)

        with pytest.raises(Unavailable, match="AccessDenied"):
            S3BlobStore(client, "bucket").get("key")


def test_an_object_that_is_not_there_is_nothing() -> None:
    with stubbed("s3") as (client, stub):
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)

        assert S3BlobStore(client, "bucket").get("key") is None


def test_objects_that_were_not_deleted_are_unavailable() -> None:
    with stubbed("s3") as (client, stub):
        listed = {"Contents": [{"Key": "t/payload-1"}], "IsTruncated": False}
        stub.add_response("list_objects_v2", listed)
        stub.add_response("delete_objects", {"Errors": [{"Key": "t/payload-1", "Code": "InternalError"}]})

        with pytest.raises(Unavailable, match="InternalError"):
            S3BlobStore(client, "bucket").delete_all("t/")


def secrets_in(ssm: Any) -> StoredSigningSecrets:
    return StoredSigningSecrets(ssm=lambda: ssm, secrets_manager=lambda: ssm, installation="/tasklane/secrets")


def test_signing_secrets_are_read_decrypted_and_kept_for_a_while() -> None:
    with stubbed("ssm") as (client, stub):
        wanted = {"Names": ["/tasklane/secrets"], "WithDecryption": True}
        found = {"Parameters": [{"Name": "/tasklane/secrets", "Value": f"{SECRET}\n{OLDER_SECRET}\n"}]}
        stub.add_response("get_parameters", found, wanted)
        secrets = secrets_in(client)

        assert secrets.current(["a"])["a"] == secrets.current(["b"])["b"] == (SECRET, OLDER_SECRET)


@pytest.mark.parametrize("value", ["  \n ", "whsec_not-base64!", "plain"])
def test_a_parameter_without_usable_secrets_is_a_configuration_error(value: str) -> None:
    with stubbed("ssm") as (client, stub):
        stub.add_response("get_parameters", {"Parameters": [{"Name": "/tasklane/secrets", "Value": value}]})

        assert isinstance(secrets_in(client).current(["a"])["a"], ConfigurationError)
