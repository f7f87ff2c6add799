"""Time slots of limits by rate, reserved in the items of the limits (see ``tasklane.adapters.limits``).

A limit whose tasks name no other rate has no free ranges: there a reservation is one update, and whoever comes at the
same time gets the slots behind. Otherwise timetables are read, and written if nobody else has written them meanwhile.
"""

import json
import random
import time
import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.items import Item
from tasklane.adapters.limits import FREE, key_of, limit_key
from tasklane.adapters.table import batch_get, is_conflict, is_refusal, unavailable
from tasklane.errors import Contended
from tasklane.throttle import Limit
from tasklane.timetable import Changed, Full, Granted, SlotRequest, Timetable, reserve

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRIES: Final = 10
"""How often a reservation is tried because somebody else was first."""
_IS_SINCE: Final = "#since = :since AND attribute_exists(rate_count)"
PAUSE_SECONDS: Final = 0.03


class StoredReservations:
    """The part of a control store that gives time slots."""

    _client: "DynamoDBClient"
    _table: str

    def reserve(self, limit: Limit, now: int, count: int) -> list[int] | None:
        """See ControlStore. One update; two where it has been idle, or somebody else was first after that."""
        assert limit.rate is not None  # noqa: S101 - what the caller looked for
        now_us, ahead = now * 1000, count * limit.rate.interval_us
        going_on = ("SET next_at = next_at + :ahead", "next_at >= :now", {":ahead": ahead})
        idle = ("SET next_at = :next", "(attribute_not_exists(next_at) OR next_at < :now)", {":next": now_us + ahead})
        for number in range(TRIES):
            for expression, condition, values in (going_on, idle):
                before, there = self._moved(limit, expression, condition, {":now": now_us, **values})
                if before is not None:
                    return limit.rate.starts(max(before, now_us), now_us, count)
                if there is not None and not _is_since(limit, there):
                    return None
                if there is not None and FREE in there:
                    request = SlotRequest(keys=(limit.key,), at=now)
                    answers = self.reserve_together({limit.key: limit}, [request] * count)
                    return [answer.at for answer in answers if isinstance(answer, Granted)] or None
            _pause(number)
        raise Contended(f"the limit of {limit.key} is being changed by others")

    def reserve_together(
        self, limits: Mapping[str, Limit], requests: Sequence[SlotRequest]
    ) -> list[Granted | Full | Changed]:
        """See ControlStore. One read, and one update or one transaction; again where others write at the same time."""
        now = min(request.at for request in requests) * 1000
        for number in range(TRIES):
            items = {
                key_of(item): item for item in batch_get(self._client, self._table, [limit_key(key) for key in limits])
            }
            known = [limit for key, limit in limits.items() if key in items and _is_since(limit, items[key])]
            tables = {limit.key: _timetable(limit, items[limit.key], now) for limit in known}
            answers = reserve(tables, requests)
            if self._written([_update(items[key], table) for key, table in tables.items() if table.is_changed]):
                return answers
            _pause(number)
        raise Contended(f"the limits of {', '.join(limits)} are being changed by others")

    def _moved(
        self, limit: Limit, expression: str, condition: str, values: Mapping[str, int]
    ) -> tuple[int | None, Item | None]:
        """What ``next_at`` was before this update (0: absent); or the item to which it did not apply, if that is known.

        A worker may know the rate of some seconds ago: its slots would lie by that rate, for hours maybe.
        """
        values = {**values, ":since": limit.since}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=limit_key(limit.key),
                UpdateExpression=expression,
                ConditionExpression=f"{condition} AND {_IS_SINCE} AND attribute_not_exists({FREE})",
                ExpressionAttributeNames={"#since": "since"},
                ExpressionAttributeValues={name: _n(value) for name, value in values.items()},
                ReturnValues="UPDATED_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as exc:
            if is_conflict(exc):
                return None, None
            if not is_refusal(exc):
                raise unavailable(exc) from exc
            return None, exc.response.get("Item", {})  # type: ignore[return-value] # asked for by the parameter above
        return int(answer.get("Attributes", {}).get("next_at", {"N": "0"})["N"]), None

    def _written(self, updates: Sequence[dict[str, Any]]) -> bool:
        """Make all of these updates; False: none was made, because others have written meanwhile."""
        items: Any = [{"Update": {"TableName": self._table, **update}} for update in updates]
        try:
            if len(updates) == 1:
                self._client.update_item(TableName=self._table, **updates[0])
            elif updates:
                self._client.transact_write_items(TransactItems=items)
        except (ClientError, BotoCoreError) as exc:
            if is_refusal(exc) or is_conflict(exc):
                return False
            raise unavailable(exc) from exc
        return True


def _timetable(limit: Limit, item: Item, now: int) -> Timetable:
    assert limit.rate is not None  # noqa: S101 - what the caller looked for
    free = _ranges(item[FREE]["B"]) if FREE in item else ()
    return Timetable(limit.rate, int(item.get("next_at", _n(0))["N"]), free, now=now)


def _update(item: Item, table: Timetable) -> dict[str, Any]:
    """UpdateItem's arguments that write a timetable, if the item is still as it was read."""
    read = {name: item[name] for name in ("since", "next_at", FREE) if name in item}
    conditions = ["attribute_exists(rate_count)", *(f"#{name} = :old_{name}" for name in read)]
    conditions += [f"attribute_not_exists(#{name})" for name in ("next_at", FREE) if name not in item]
    values: Item = {f":old_{name}": value for name, value in read.items()}
    values |= {":next_at": _n(table.next_at), ":given_up": _n(table.given_up)}
    free = f"REMOVE #{FREE}"
    if table.free:
        values[":free"] = {"B": _packed(table.free)}
        free = f", #{FREE} = :free"
    return {
        "Key": {name: item[name] for name in ("pk", "sk")},
        "UpdateExpression": f"SET #next_at = :next_at {free} ADD given_up :given_up",
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in ("since", "next_at", FREE)},
        "ExpressionAttributeValues": values,
    }


def _packed(free: Sequence[tuple[int, int]]) -> bytes:
    """Free ranges as the times between their bounds. Those of a steady rate are alike, and so take little room."""
    bounds = [0, *chain.from_iterable(free)]
    return zlib.compress(json.dumps([end - begin for begin, end in pairwise(bounds)]).encode())


def _ranges(packed: bytes) -> list[tuple[int, int]]:
    bounds = list(accumulate(json.loads(zlib.decompress(packed))))
    return list(zip(bounds[::2], bounds[1::2], strict=True))


def _is_since(limit: Limit, item: Item) -> bool:
    return item.get("since") == _n(limit.since) and "rate_count" in item


def _n(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _pause(number: int) -> None:
    time.sleep(PAUSE_SECONDS * (number + 1) * random.random())  # noqa: S311 - no secret
