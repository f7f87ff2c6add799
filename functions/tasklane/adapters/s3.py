"""Large documents in an S3 bucket."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3BlobStore:
    """Keeps documents as objects of one bucket; keys begin with the task's id, so load spreads over partitions."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """See BlobStore."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=content_type)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"the bucket did not take {key!r}: {exc}") from exc

    def get(self, key: str) -> bytes | None:
        """See BlobStore."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as exc:
            if exc.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise Unavailable(f"the bucket did not give {key!r}: {exc}") from exc
        except BotoCoreError as exc:
            raise Unavailable(f"the bucket did not give {key!r}: {exc}") from exc

    def url(self, key: str, seconds: int) -> str:
        """See BlobStore. Signed here, without a request; the client has to sign with version 4."""
        try:
            parameters = {"Bucket": self._bucket, "Key": key}
            return self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"the address of {key!r} could not be signed: {exc}") from exc

    def delete_all(self, prefix: str) -> None:
        """See BlobStore."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                objects: Any = [{"Key": one["Key"]} for one in page.get("Contents", ())]
                if objects:
                    self._delete(objects)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"the bucket did not delete {prefix!r}: {exc}") from exc

    def _delete(self, objects: Any) -> None:
        answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            raise Unavailable(f"the bucket did not delete: {answer['Errors'][0]}")
