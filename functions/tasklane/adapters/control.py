"""The control store on DynamoDB.

``pk`` names the kind of thing, ``sk`` the thing; the other attributes are the fields of the same name in
``tasklane.ports``.
"""

from typing import TYPE_CHECKING, Any, Final, TypeGuard

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import Unavailable
from tasklane.ports import Pause

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAUSES: Final = "pause"
_REFUSED: Final = "ConditionalCheckFailedException"


class DynamoDbControlStore:
    """Keeps decisions in the control table, one item each."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def pauses(self) -> list[Pause]:
        """See ControlStore. One consistent query, however often it is paged: there are few."""
        found: list[Any] = []
        start: Any = {}
        while True:
            try:
                answer = self._client.query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk",
                    ExpressionAttributeValues={":pk": {"S": PAUSES}},
                    ConsistentRead=True,
                    **start,
                )
            except (ClientError, BotoCoreError) as exc:
                raise _unavailable(exc) from exc
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return [_pause(item) for item in found]
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def put_pause(self, pause: Pause) -> Pause:
        """See ControlStore."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_key(pause.target), "since": {"N": str(pause.since)}},
                ConditionExpression="attribute_not_exists(pk) OR attribute_exists(resumed_at)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as exc:
            if not _is_refusal(exc):
                raise _unavailable(exc) from exc
            return _pause(exc.response["Item"])  # type: ignore[typeddict-item] # asked for by the parameter above
        return pause

    def end_pause(self, target: str, now: int) -> Pause | None:
        """See ControlStore."""
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_key(target),
                UpdateExpression="SET resumed_at = if_not_exists(resumed_at, :now)",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":now": {"N": str(now)}},
                ReturnValues="ALL_NEW",
            )
        except (ClientError, BotoCoreError) as exc:
            if not _is_refusal(exc):
                raise _unavailable(exc) from exc
            return None
        return _pause(answer["Attributes"])

    def forget_pause(self, pause: Pause) -> bool:
        """See ControlStore."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(pause.target),
                ConditionExpression="attribute_not_exists(pk) OR resumed_at = :resumed_at",
                ExpressionAttributeValues={":resumed_at": {"N": str(pause.resumed_at or 0)}},
            )
        except (ClientError, BotoCoreError) as exc:
            if not _is_refusal(exc):
                raise _unavailable(exc) from exc
            return False
        return True


def _key(target: str) -> dict[str, Any]:
    return {"pk": {"S": PAUSES}, "sk": {"S": target}}


def _pause(item: Any) -> Pause:
    resumed_at = int(item["resumed_at"]["N"]) if "resumed_at" in item else None
    return Pause(target=item["sk"]["S"], since=int(item["since"]["N"]), resumed_at=resumed_at)


def _unavailable(exc: Exception) -> Unavailable:
    return Unavailable(f"the control table did not take the request: {exc}")


def _is_refusal(exc: Exception) -> TypeGuard[ClientError]:
    return isinstance(exc, ClientError) and exc.response["Error"]["Code"] == _REFUSED
