"""Counts what AWS would bill: requests as they leave, and write units by AWS's own rules.

The engine's ConsumedCapacity is not right for batches and indexes, so the units are computed here from the items before
and after each write.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from mypy_boto3_dynamodb import DynamoDBClient

READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems", "ExecuteStatement"})
WRITES: Final = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "BatchExecuteStatement"}
)
UNIT_BYTES: Final = 1024

Item = Mapping[str, Any]
Items = Mapping[str, Item]


@dataclass(kw_only=True)
class Meter:
    """Hooked into a session's events, it counts every request of the session's clients, repeated ones too.

    ``observer`` reads the table; it belongs to another session, so that its requests are not counted.
    """

    observer: "DynamoDBClient"
    table: str
    indexes: Mapping[str, tuple[str, ...]]
    requests: Counter[str] = field(default_factory=Counter)
    write_units: int = 0
    _items: Items = field(default_factory=dict)
    _expected_writes: int = 0

    def hook(self, events: "BaseEventHooks") -> None:
        events.register("provide-client-params.dynamodb.*", self._before)
        events.register("before-send.*.*", self._count)
        events.register("after-call.dynamodb.*", self._after)

    def _before(self, params: Any, model: Any, **_: Any) -> None:
        self._expected_writes = len(params.get("Statements", (None,))) if model.name in WRITES else 0

    def _count(self, event_name: str, **_: Any) -> None:
        self.requests[event_name.rpartition(".")[2]] += 1

    def _after(self, model: Any, **_: Any) -> None:
        if model.name not in WRITES:
            return
        pages = self.observer.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        items = {item["task_id"]["S"]: item for page in pages for item in page["Items"]}
        changed = [key for key in {*items, *self._items} if items.get(key) != self._items.get(key)]
        # A write that changes nothing is billed as well: every write must be among those seen.
        assert len(changed) == self._expected_writes, "a write was refused or changed nothing"
        self.write_units += sum(write_units(self._items.get(k), items.get(k), self.indexes) for k in changed)
        self._items = items


def write_units(before: Item | None, after: Item | None, indexes: Mapping[str, tuple[str, ...]]) -> int:
    """Write units of one write to a table and its indexes, which keep keys only.

    A write costs one unit per KB, rounded up, of the larger of the two items
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html#write-operation-consumption).
    An index costs one write when an entry comes or goes, and two, a removal and a put, when its key changes
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes).
    """
    units = _units(max(item_size(before or {}), item_size(after or {})))
    for keys in indexes.values():
        old, new = _entry(before, keys), _entry(after, keys)
        if old != new:
            units += sum(_units(item_size(entry)) for entry in (old, new) if entry)
    return units


def item_size(item: Item) -> int:
    """Bytes of an item.

    Names and strings in UTF-8; numbers a byte for two digits and one more; a byte for a boolean; lists and maps three
    bytes, and one more for each element
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html).
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Any) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(str(content).encode())
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return math.ceil(len(digits) / 2) + (2 if content.startswith("-") else 1)
        case "B":
            return len(bytes(content))
        case "L":
            return 3 + sum(1 + _value_size(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(one) for name, one in content.items())
        case _:
            return 1


def _entry(item: Item | None, keys: tuple[str, ...]) -> Item | None:
    """What an index keeps of an item; None where a key is missing."""
    if item is None or any(name not in item for name in keys):
        return None
    return {name: item[name] for name in (*keys, "task_id")}


def _units(size: int) -> int:
    return max(1, math.ceil(size / UNIT_BYTES))
