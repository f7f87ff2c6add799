"""Declared task types in the control table: ``pk`` is ``type``, ``sk`` the name, the rest the fields of Declaration."""

import json
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.table import ask, unavailable
from tasklane.declaration import Declaration

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TYPES: Final = "type"


class StoredDeclarations:
    """The part of a control store that keeps declarations, one item each."""

    _client: "DynamoDBClient"
    _table: str

    def declaration(self, name: str) -> Declaration | None:
        """See ControlStore. One consistent read."""
        answer = ask(lambda: self._client.get_item(TableName=self._table, Key=_key(name), ConsistentRead=True))
        return _declaration(answer["Item"]) if "Item" in answer else None

    def declarations(self, start: str | None, limit: int) -> list[Declaration]:
        """See ControlStore. One query."""
        after: Any = {} if start is None else {"ExclusiveStartKey": _key(start)}
        answer = ask(
            lambda: self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": TYPES}},
                Limit=limit,
                **after,
            )
        )
        return [_declaration(item) for item in answer["Items"]]

    def declare(self, declaration: Declaration, *, replace: bool) -> Declaration:
        """See ControlStore."""
        item: Any = {
            **_key(declaration.name),
            "priority": {"N": str(declaration.priority)},
            "timeout_seconds": {"N": str(declaration.timeout_seconds)},
            "retry": {"S": json.dumps(dict(declaration.retry), separators=(",", ":"))},
        }
        condition: Any = (
            {}
            if replace
            else {
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        )
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except (ClientError, BotoCoreError) as exc:
            existing: Any = exc.response.get("Item") if isinstance(exc, ClientError) else None
            if not existing:
                raise unavailable(exc) from exc
            return _declaration(existing)
        return declaration


def _key(name: str) -> dict[str, Any]:
    return {"pk": {"S": TYPES}, "sk": {"S": name}}


def _declaration(item: Any) -> Declaration:
    return Declaration(
        name=item["sk"]["S"],
        priority=int(item["priority"]["N"]),
        timeout_seconds=int(item["timeout_seconds"]["N"]),
        retry=json.loads(item["retry"]["S"]),
    )
