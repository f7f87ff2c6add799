"""The control store on DynamoDB.

``pk`` names the kind of thing, ``sk`` the thing; the other attributes are the fields of the same name in
``tasklane.ports``.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.declarations import StoredDeclarations
from tasklane.adapters.limits import gaps_update, limit_key, limit_of, limit_update, removal
from tasklane.adapters.reservations import StoredReservations
from tasklane.adapters.table import ask, batch_get, is_refusal, unavailable
from tasklane.ports import Pause
from tasklane.throttle import Limit, LimitState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAUSES: Final = "pause"
LIMITS: Final = "limits"
"""The list of limited keys; each limit is an item of its own, so that a busy one is nobody else's matter."""
WAITING: Final = "waiting"
"""The keys that somebody waits for."""


class DynamoDbControlStore(StoredDeclarations, StoredReservations):
    """Keeps decisions in the control table, one item each."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def pauses(self) -> list[Pause]:
        """See ControlStore. One consistent query, however often it is paged: there are few."""
        return [_pause(item) for item in self._all(PAUSES)]

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
            if not is_refusal(exc):
                raise unavailable(exc) from exc
            return _pause(exc.response["Item"])  # type: ignore[typeddict-item] # asked for by the parameter above
        return pause

    def end_pause(self, target: str, now: int) -> Pause | None:
        """See ControlStore."""
        answer = self._unless_refused(
            Key=_key(target),
            UpdateExpression="SET resumed_at = if_not_exists(resumed_at, :now)",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":now": {"N": str(now)}},
            ReturnValues="ALL_NEW",
        )
        return None if answer is None else _pause(answer["Attributes"])

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
            if not is_refusal(exc):
                raise unavailable(exc) from exc
            return False
        return True

    def put_limit(self, limit: Limit, *, before: Limit | None) -> bool:
        """See ControlStore. First the entry in the list: a limit that is not in it could not be found again."""
        entry = {"pk": {"S": LIMITS}, "sk": {"S": limit.key}}
        ask(lambda: self._client.put_item(TableName=self._table, Item=entry))
        return self._unless_refused(**limit_update(limit, before)) is not None

    def remove_limit(self, key: str) -> None:
        """See ControlStore. The item stays while tasks count towards it, and after: it is small."""
        ask(lambda: self._client.update_item(TableName=self._table, **removal(key)))
        entry = {"pk": {"S": LIMITS}, "sk": {"S": key}}
        ask(lambda: self._client.delete_item(TableName=self._table, Key=entry))

    def limits(self, keys: Sequence[str]) -> dict[str, LimitState]:
        """See ControlStore."""
        items = batch_get(self._client, self._table, [limit_key(key) for key in keys])
        return {state.limit.key: state for state in map(limit_of, items) if state is not None}

    def limit_keys(self, start: str | None, count: int) -> list[str]:
        """See ControlStore."""
        after: Any = {} if start is None else {"ExclusiveStartKey": {"pk": {"S": LIMITS}, "sk": {"S": start}}}
        answer = ask(lambda: self._query(LIMITS, Limit=count, **after))
        return [item["sk"]["S"] for item in answer["Items"]]

    def give_up(self, key: str, count: int) -> None:
        """See ControlStore."""
        self._unless_refused(
            Key=limit_key(key),
            UpdateExpression="ADD given_up :count",
            ConditionExpression="attribute_exists(rate_count)",
            ExpressionAttributeValues={":count": {"N": str(count)}},
        )

    def close_gaps(self, limit: Limit, now: int) -> Limit | None:
        """See ControlStore."""
        answer = self._unless_refused(**gaps_update(limit, now))
        state = limit_of(answer["Attributes"]) if answer else None
        return None if state is None else state.limit

    def note_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        item = {**_waiting_key(key), "until": {"N": str(until)}}
        ask(lambda: self._client.put_item(TableName=self._table, Item=item))

    def waited_for(self) -> dict[str, int]:
        """See ControlStore."""
        return {item["sk"]["S"]: int(item["until"]["N"]) for item in self._all(WAITING)}

    def forget_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_waiting_key(key),
                ConditionExpression="#until = :until",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":until": {"N": str(until)}},
            )
        except (ClientError, BotoCoreError) as exc:
            if not is_refusal(exc):
                raise unavailable(exc) from exc

    def _unless_refused(self, **arguments: Any) -> Any:
        """The answer to an update; None where its condition does not hold."""
        try:
            return self._client.update_item(TableName=self._table, **arguments)
        except (ClientError, BotoCoreError) as exc:
            if not is_refusal(exc):
                raise unavailable(exc) from exc
            return None

    def _query(self, pk: str, **options: Any) -> Any:
        return self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
            **options,
        )

    def _all(self, pk: str) -> list[Any]:
        found: list[Any] = []
        start: Any = {}
        while True:
            answer = ask(partial(self._query, pk, **start))
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _key(target: str) -> dict[str, Any]:
    return {"pk": {"S": PAUSES}, "sk": {"S": target}}


def _waiting_key(key: str) -> dict[str, Any]:
    return {"pk": {"S": WAITING}, "sk": {"S": key}}


def _pause(item: Any) -> Pause:
    resumed_at = int(item["resumed_at"]["N"]) if "resumed_at" in item else None
    return Pause(target=item["sk"]["S"], since=int(item["since"]["N"]), resumed_at=resumed_at)
