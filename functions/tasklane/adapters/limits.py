"""Limits as items of the control table, and the transactions that count tasks towards them.

``pk`` is ``limit:`` and the key, ``sk`` is ``limit``; beside the fields of ``tasklane.throttle.Limit``:

``used``     how many running tasks count towards it
``next_at``  when the next reserved start may be (Unix microseconds)
``given_up`` how many reserved starts will not be used
``free_ranges`` what is free before ``next_at``, packed (``tasklane.adapters.reservations``); absent: nothing

A run begins, and ends, in one transaction with the counts of its limits: so a count is always that of the records, and
a worker that dies leaves nothing to be put right but the record itself.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.items import Item
from tasklane.adapters.table import reasons
from tasklane.adapters.writes import Write
from tasklane.errors import Contended, Unavailable
from tasklane.ports import Blocked
from tasklane.throttle import Limit, LimitState, Rate

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONFLICTS: Final = 8
"""How often a transaction that met another one on the same item is tried."""
CONFLICT_PAUSE_SECONDS: Final = 0.02
_RATE: Final = ("rate_count", "rate_period_ms", "rate_burst")
FREE: Final = "free_ranges"
_IS_LIMITED: Final = "(attribute_exists(#max_concurrent) OR attribute_exists(#rate_count))"
_RESERVED: Final = ("next_at", FREE, "given_up", "kept_since", "kept_until")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The record was not as the write expected it; ``item`` is what was there."""

    item: Item


class LimitedWrites:
    """Writes of records that begin or end to count towards limits."""

    def __init__(self, client: "DynamoDBClient", tasks_table: str, control_table: str) -> None:
        self._client = client
        self._tasks_table = tasks_table
        self._control_table = control_table

    def write(
        self, write: Write, *, takes: Sequence[str] = (), gives: Sequence[str] = ()
    ) -> Refused | Blocked | Unavailable | None:
        """Make ``write``, count one more towards ``takes`` and one less towards ``gives``: all, or nothing.

        None: done. A transaction that met another is tried again: it is over in milliseconds.
        """
        items = [
            {"Update": {"TableName": self._tasks_table, **write.as_update()}},
            *({"Update": self._take(key)} for key in takes),
            *({"Update": self._give(key)} for key in gives),
        ]
        for number in range(CONFLICTS):
            try:
                self._client.transact_write_items(TransactItems=items)  # type: ignore[arg-type] # made of plain dicts
            except (ClientError, BotoCoreError) as exc:
                found = reasons(exc)
                codes = [reason.get("Code") for reason in found]
                if "ConditionalCheckFailed" in codes:
                    position = codes.index("ConditionalCheckFailed")
                    return Refused(item=found[0].get("Item", {})) if position == 0 else Blocked(key=takes[position - 1])
                if "TransactionConflict" not in codes:
                    return Unavailable(f"the table did not take a transaction: {exc}")
                time.sleep(CONFLICT_PAUSE_SECONDS * (number + 1) * random.random())  # noqa: S311 - no secret
            else:
                return None
        return Contended("the table did not take a transaction: others came in between again and again")

    def _take(self, key: str) -> dict[str, Any]:
        return {
            "TableName": self._control_table,
            "Key": limit_key(key),
            "UpdateExpression": "ADD used :one",
            "ConditionExpression": (
                "attribute_not_exists(max_concurrent) OR used < max_concurrent "
                "OR (attribute_not_exists(used) AND max_concurrent > :zero)"
            ),
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":zero": {"N": "0"}},
        }

    def _give(self, key: str) -> dict[str, Any]:
        return {
            "TableName": self._control_table,
            "Key": limit_key(key),
            "UpdateExpression": "ADD used :less",
            "ExpressionAttributeValues": {":less": {"N": "-1"}},
        }


def limit_key(key: str) -> Item:
    """The primary key of a limit's item."""
    return {"pk": {"S": f"limit:{key}"}, "sk": {"S": "limit"}}


def key_of(item: Item) -> str:
    """The key whose limit an item is."""
    key: str = item["pk"]["S"]
    return key.removeprefix("limit:")


def limit_update(limit: Limit, before: Limit | None) -> dict[str, Any]:
    """UpdateItem's arguments that make an item say what ``limit`` says, and leave its count alone.

    They apply where the rate is that of ``before``, if it stays so, and else where nobody has set one since then. A key
    that was limited once remembers ``since``: time slots of that time would hold again by an earlier one.
    """
    fields = {**dict.fromkeys(_RESERVED), **_fields(limit), "since": limit.since}
    if before is not None and before.rate == limit.rate:
        fields = _fields(limit)
        rate = {name: value for name, value in fields.items() if name in _RATE}
        parts = [f"attribute_not_exists(#{name})" if rate[name] is None else f"#{name} = :{name}" for name in rate]
        condition = " AND ".join(["#since >= :before", _IS_LIMITED, *parts])
    elif before is not None:
        condition = f"#since = :before AND #since < :since AND {_IS_LIMITED}"
    else:
        condition = f"NOT {_IS_LIMITED} AND (attribute_not_exists(#since) OR #since < :since)"
    update = _update(limit.key, fields)
    update["ExpressionAttributeNames"]["#since"] = "since"
    if before is not None:
        update.setdefault("ExpressionAttributeValues", {})[":before"] = {"N": str(before.since)}
    return {**update, "ConditionExpression": condition}


def removal(key: str) -> dict[str, Any]:
    """UpdateItem's arguments that leave nothing but the count, and ``since``."""
    return _update(key, {**dict.fromkeys(_RESERVED), **_fields(Limit(key=key))})


def _fields(limit: Limit) -> dict[str, int | None]:
    rate = limit.rate
    numbers = (None, None, None) if rate is None else (rate.count, rate.period_ms, rate.burst)
    return {"max_concurrent": limit.max_concurrent, **dict(zip(_RATE, numbers, strict=True))}


def _update(key: str, fields: Mapping[str, int | None]) -> dict[str, Any]:
    """UpdateItem's arguments that set these, and remove those that are None."""
    values = {f":{name}": {"N": str(value)} for name, value in fields.items() if value is not None}
    kept = [f"#{name} = :{name}" for name, value in fields.items() if value is not None]
    gone = [f"#{name}" for name, value in fields.items() if value is None]
    parts = ([f"SET {', '.join(kept)}"] if kept else []) + ([f"REMOVE {', '.join(gone)}"] if gone else [])
    return {
        "Key": limit_key(key),
        "UpdateExpression": " ".join(parts),
        "ExpressionAttributeNames": {f"#{name}": name for name in fields},
        **({"ExpressionAttributeValues": values} if values else {}),
    }


def gaps_update(limit: Limit, now: int) -> dict[str, Any]:
    """UpdateItem's arguments that void, ``now``, the time slots after ``limit.kept_until``.

    The starts that follow come one by one after that time: how many came together before it is not known.
    """
    assert limit.rate is not None  # noqa: S101 - what the caller looked for
    values = {
        ":since": limit.since,
        ":now": max(now, limit.since + 1),
        ":kept_until": limit.kept_until,
        ":next_at": limit.kept_until * 1000 + limit.rate.burst * limit.rate.interval_us,
    }
    return {
        "Key": limit_key(limit.key),
        "UpdateExpression": (
            "SET #since = :now, kept_since = :since, kept_until = :kept_until, next_at = :next_at "
            f"REMOVE given_up, {FREE}"
        ),
        "ConditionExpression": "#since = :since AND attribute_exists(rate_count) AND next_at > :next_at",
        "ExpressionAttributeNames": {"#since": "since"},
        "ExpressionAttributeValues": {name: {"N": str(value)} for name, value in values.items()},
        "ReturnValues": "ALL_NEW",
    }


def limit_of(item: Item) -> LimitState | None:
    """What an item says; None where its key is not limited any more."""
    numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
    most, count = numbers.get("max_concurrent"), numbers.get("rate_count")
    if most is None and count is None:
        return None
    rate = Rate(count=count, period_ms=numbers["rate_period_ms"], burst=numbers["rate_burst"]) if count else None
    times = {name: numbers.get(name, 0) for name in ("since", "kept_since", "kept_until")}
    limit = Limit(key=key_of(item), max_concurrent=most, rate=rate, **times)
    return LimitState(
        limit=limit,
        in_use=numbers.get("used", 0),
        reserved_until=numbers.get("next_at", 0) // 1000,
        given_up=numbers.get("given_up", 0),
    )
