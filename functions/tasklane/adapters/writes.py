"""A conditional write as data, and its two spellings: UpdateItem for one, PartiQL for a batch.

A batch of PartiQL updates is one request, each with its own condition and its own answer
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasklane.adapters.items import Item, Value, guards, key, to_item
from tasklane.ports import Change, Claim
from tasklane.task import Status, Task

_SLOT: Final = ("reserved_at", "reserved_on", "reserved_first")


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """Set and remove attributes of one item, if every attribute in ``expected`` has its value (None: is absent)."""

    task_id: str
    values: Mapping[str, Value]
    removed: tuple[str, ...]
    expected: Mapping[str, Value | None]

    def has_happened(self, item: Item) -> bool:
        """True where ``item`` already is as this write leaves it: it was written, and its answer got lost.

        What the write only guards counts too: another run may have written the same values.
        """
        left = {**self.expected, **self.values, **dict.fromkeys(self.removed)}
        return all(item.get(name) == value for name, value in left.items())

    def as_update(self) -> dict[str, Any]:
        """The arguments of UpdateItem, but for the table's name."""
        names: dict[str, str] = {}
        values: dict[str, Value] = {}

        def name_of(attribute: str) -> str:
            return names.setdefault(attribute, f"#a{len(names)}")

        def value_of(value: Value) -> str:
            values[f":v{len(values)}"] = value
            return f":v{len(values) - 1}"

        sets = [f"{name_of(name)} = {value_of(value)}" for name, value in self.values.items()]
        expression = f"SET {', '.join(sets)}" if sets else ""
        if self.removed:
            expression += f" REMOVE {', '.join(name_of(name) for name in self.removed)}"
        conditions = [f"attribute_exists({name_of('task_id')})"]
        for name, value in self.expected.items():
            absent = f"attribute_not_exists({name_of(name)})"
            conditions.append(absent if value is None else f"{name_of(name)} = {value_of(value)}")
        return {
            "Key": key(self.task_id),
            "UpdateExpression": expression.strip(),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": {placeholder: name for name, placeholder in names.items()},
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def as_statement(self, table: str, *, returning: bool) -> dict[str, Any]:
        """One statement of BatchExecuteStatement; ``returning`` asks for the item as it is afterwards."""
        parameters: list[Value] = []

        def parameter(value: Value) -> str:
            parameters.append(value)
            return "?"

        sets = [f'SET "{name}" = {parameter(value)}' for name, value in self.values.items()]
        removes = [f'REMOVE "{name}"' for name in self.removed]
        where = [f'"task_id" = {parameter({"S": self.task_id})}']
        for name, value in self.expected.items():
            where.append(f'"{name}" IS MISSING' if value is None else f'"{name}" = {parameter(value)}')
        parts = [f'UPDATE "{table}"', *sets, *removes, "WHERE", " AND ".join(where)]
        if returning:
            parts.append("RETURNING ALL NEW *")
        return {
            "Statement": " ".join(parts),
            "Parameters": parameters,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def removal(task: Task) -> dict[str, Any]:
    """The arguments of DeleteItem, but for the table's name, that delete ``task`` as it is.

    Nobody must have begun to run it, or to deliver its callback, since. A missing item is deleted already.
    """
    item = to_item(task)
    guarded = [name for field in ("status", "run", "callback") for name in guards(field)]
    names = {f"#a{n}": name for n, name in enumerate(guarded)}
    values = {f":v{n}": item[name] for n, name in enumerate(guarded) if name in item}
    unchanged = [f"#a{n} = :v{n}" if name in item else f"attribute_not_exists(#a{n})" for n, name in enumerate(guarded)]
    return {
        "Key": key(task.id),
        "ConditionExpression": f"attribute_not_exists(task_id) OR ({' AND '.join(unchanged)})",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def claim_write(claim: Claim) -> Write:
    """The write that begins a run. Who holds the task is decided here: by ``status`` and ``run``."""
    message = claim.message
    values: Item = {
        "status": {"S": Status.RUNNING.value},
        "run": {"N": str(message.run)},
        "started_at": {"N": str(claim.started_at)},
        "lease_id": {"S": claim.lease_id},
        "lease_until": {"N": str(claim.lease_until)},
    }
    if claim.takes:
        values["slots"] = {"L": [{"S": key} for key in claim.takes]}
    if claim.due_at is not None:
        values["due_at"] = {"N": str(claim.due_at)}
    return Write(
        task_id=message.task_id,
        values=values,
        removed=("run_at", "progress", "progress_message", "line", "line_rank", "pull", *_SLOT),
        expected={"status": {"S": message.status}, "run": {"N": str(message.run - 1)}},
    )


def change_write(change: Change) -> Write:
    """The write that turns ``before`` into ``after``: only what differs, if the guarded fields are unchanged."""
    before, after = to_item(change.before), to_item(change.after)
    expected = [name for field in change.unchanged for name in guards(field)]
    differing = {name: value for name, value in after.items() if before.get(name) != value}
    return Write(
        task_id=change.before.id,
        # The table refuses a write of nothing; the status is in no index.
        values=differing or {"status": after["status"]},
        removed=tuple(name for name in before if name not in after),
        expected={name: before.get(name) for name in expected},
    )
