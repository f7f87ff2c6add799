"""The task store on DynamoDB: one item a task, every write conditional, a batch of writes in one request."""

import contextlib
import logging
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.indexes import Indexes
from tasklane.adapters.items import SHARDS, Item, from_item, key, to_item
from tasklane.adapters.limits import LimitedWrites, Refused
from tasklane.adapters.table import ask, batch_get, chunks, is_refusal, unavailable
from tasklane.adapters.writes import Write, change_write, claim_write, removal
from tasklane.errors import Unavailable
from tasklane.ports import Blocked, Change, Claim
from tasklane.task import Task
from tasklane.transitions import begun

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger(__name__)

STATEMENTS: Final = 25
"""The most statements one BatchExecuteStatement takes."""

_R = TypeVar("_R")


class DynamoDbTaskStore:
    """Keeps tasks in a table; ``control_table`` has the limits that claims count towards.

    ``batches`` False writes one by one, for engines that do not speak PartiQL.
    """

    shards: Sequence[str] = SHARDS

    def __init__(self, client: "DynamoDBClient", table: str, *, control_table: str = "", batches: bool = True) -> None:
        self._client = client
        self._table = table
        self._indexes = Indexes(client, table)
        self._limited = LimitedWrites(client, table, control_table)
        self._batches = batches

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        """See TaskStore. One conditional put each: an id that is taken is never overwritten."""
        return [self._put(task) for task in tasks] if len(tasks) == 1 or not self._batches else self._put_many(tasks)

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """See TaskStore. Consistent reads."""
        ids = list(dict.fromkeys(task_ids))
        if len(ids) == 1:
            answer = ask(lambda: self._client.get_item(TableName=self._table, Key=key(ids[0]), ConsistentRead=True))
            return {ids[0]: _read(answer["Item"])} if "Item" in answer else {}
        found: dict[str, Task] = {}
        for item in batch_get(self._client, self._table, [key(one) for one in ids]):
            # One record that cannot be read must not keep the others of its batch from being looked after.
            with contextlib.suppress(Unavailable):
                found[item["task_id"]["S"]] = _read(item)
        return found

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        """See TaskStore. The item comes back with the write, so a claim costs no read, but for one with limits."""
        free = [claim for claim in claims if not claim.takes]
        answers = iter(self._write_and_see([claim_write(claim) for claim in free]) if free else ())
        full: set[str] = set()
        return [self._claim_limited(claim, full) if claim.takes else next(answers) for claim in claims]

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        """See TaskStore."""
        free = [change for change in changes if not change.gives_back]
        answers = iter(self._save_all([change_write(change) for change in free]) if free else ())
        return [self._save_limited(change) if change.gives_back else next(answers) for change in changes]

    def _save_all(self, writes: Sequence[Write]) -> list[bool | Unavailable]:
        if len(writes) == 1 or not self._batches:
            return [self._save(write) for write in writes]
        return _each_chunk(writes, lambda chunk: self._execute(chunk, returning=False), _saved)

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        """See TaskStore."""
        return self._write_and_see([change_write(change) for change in changes])

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        """See TaskStore. One conditional delete each, several at a time."""
        if len(tasks) == 1 or not self._batches:
            return [self._remove(task) for task in tasks]
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="remove") as pool:
            return list(pool.map(self._remove, tasks))

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        """See TaskStore."""
        return self._indexes.due(shard, until, limit)

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._indexes.recent(shard, start, limit, newest=newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._indexes.failures(shard, start, limit, newest=newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        """See TaskStore."""
        return self._indexes.in_line(line, limit)

    def check(self) -> None:
        """See TaskStore."""
        ask(lambda: self._client.describe_table(TableName=self._table))

    def _put(self, task: Task) -> Task | Unavailable:
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(task),
                # What has outlived its retention is gone, though the table may take two days to remove it.
                ConditionExpression="attribute_not_exists(task_id) OR delete_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(task.created_at // 1000)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as exc:
            existing = _item_that_refused(exc)
            return unavailable(exc) if existing is None else _read_or_unavailable(existing)
        return task

    def _put_many(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        answers: list[Task | Unavailable] = []
        for chunk in chunks(tasks, STATEMENTS):
            answers += self._put_chunk(chunk)
        return answers

    def _put_chunk(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        try:
            responses = self._batch_execute([_insert(self._table, to_item(task)) for task in tasks])
        except Unavailable as exc:
            return [exc] * len(tasks)
        return [self._inserted(task, _code(response)) for task, response in zip(tasks, responses, strict=True)]

    def _inserted(self, task: Task, code: str | None) -> Task | Unavailable:
        if code is None:
            return task
        return self._put(task) if code == "DuplicateItem" else Unavailable(f"a put was refused: {code}")

    def _write_and_see(self, writes: Sequence[Write]) -> list[Task | Unavailable | None]:
        if len(writes) == 1 or not self._batches:
            return [self._update_and_see(write) for write in writes]
        return _each_chunk(writes, lambda chunk: self._execute(chunk, returning=True), _seen)

    def _update_and_see(self, write: Write) -> Task | Unavailable | None:
        try:
            answer = self._client.update_item(TableName=self._table, ReturnValues="ALL_NEW", **write.as_update())
        except (ClientError, BotoCoreError) as exc:
            if not is_refusal(exc):
                return unavailable(exc)
            existing = _item_that_refused(exc)
            return _read_or_unavailable(existing) if existing and write.has_happened(existing) else None
        return _read_or_unavailable(answer["Attributes"])

    def _save(self, write: Write) -> bool | Unavailable:
        try:
            self._client.update_item(TableName=self._table, **write.as_update())
        except (ClientError, BotoCoreError) as exc:
            if not is_refusal(exc):
                return unavailable(exc)
            existing = _item_that_refused(exc)
            return existing is not None and write.has_happened(existing)
        return True

    def _claim_limited(self, claim: Claim, full: set[str]) -> Task | Blocked | Unavailable | None:
        """``full``: keys that have just been found without room; they are not asked about again."""
        known = next((key for key in claim.takes if key in full), None)
        write = claim_write(claim)
        answer = Blocked(key=known) if known else self._limited.write(write, takes=claim.takes)
        if isinstance(answer, Blocked):
            full.add(answer.key)
        if isinstance(answer, Blocked | Unavailable):
            return answer
        if answer is not None:
            return _read_or_unavailable(answer.item) if write.has_happened(answer.item) else None
        if claim.known is not None:
            return begun(
                claim.known,
                run=claim.message.run,
                now=claim.started_at,
                lease_id=claim.lease_id,
                lease_until=claim.lease_until,
                due_at=claim.due_at,
                slots=claim.takes,
            )
        try:
            return self.get([claim.message.task_id]).get(claim.message.task_id)
        except Unavailable as exc:
            return exc

    def _save_limited(self, change: Change) -> bool | Unavailable:
        write = change_write(change)
        answer = self._limited.write(write, gives=change.gives_back)
        if isinstance(answer, Refused):
            return write.has_happened(answer.item)
        return answer if isinstance(answer, Unavailable) else True

    def _remove(self, task: Task) -> bool | Unavailable:
        try:
            self._client.delete_item(TableName=self._table, **removal(task))
        except (ClientError, BotoCoreError) as exc:
            return False if is_refusal(exc) else unavailable(exc)
        return True

    def _execute(self, writes: Sequence[Write], *, returning: bool) -> list[Any]:
        return self._batch_execute([write.as_statement(self._table, returning=returning) for write in writes])

    def _batch_execute(self, statements: Sequence[Any]) -> list[Any]:
        return list(ask(lambda: self._client.batch_execute_statement(Statements=statements))["Responses"])


def _insert(table: str, item: Item) -> Any:
    fields = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{fields}}}', "Parameters": list(item.values())}


def _each_chunk(
    writes: Sequence[Write],
    execute: Callable[[Sequence[Write]], list[Any]],
    read: Callable[[Write, Any], _R],
) -> list[_R | Unavailable]:
    """Answers of a batch, chunk by chunk. 200 does not mean success: every answer is read."""
    answers: list[_R | Unavailable] = []
    for chunk in chunks(writes, STATEMENTS):
        try:
            responses = execute(chunk)
        except Unavailable as exc:
            answers += [exc] * len(chunk)
        else:
            for write, response in zip(chunk, responses, strict=True):
                if _code(response) in (None, "ConditionalCheckFailed"):
                    answers.append(read(write, response))
                else:
                    answers.append(Unavailable(f"the table did not take a write: {response['Error']}"))
    return answers


def _seen(write: Write, response: Any) -> Task | Unavailable | None:
    if _code(response) is None:
        return _read_or_unavailable(response["Item"])
    return _read_or_unavailable(response["Error"]["Item"]) if _saved(write, response) else None


def _saved(write: Write, response: Any) -> bool:
    return _code(response) is None or write.has_happened(response["Error"].get("Item", {}))


def _read(item: Item) -> Task:
    """The task in ``item``. Raises Unavailable for what this version cannot read: a newer one may have written it."""
    try:
        return from_item(item)
    except (KeyError, ValueError, TypeError, zlib.error) as exc:
        task_id = item["task_id"]["S"]
        extra = {"action": "record_unreadable", "task_id": task_id, "error": repr(exc)}
        logger.error("A record cannot be read by this version.", extra=extra)  # noqa: TRY400 - nothing to trace
        raise Unavailable(f"the record of task {task_id} cannot be read by this version") from exc


def _read_or_unavailable(item: Item) -> Task | Unavailable:
    try:
        return _read(item)
    except Unavailable as exc:
        return exc


def _code(response: Any) -> str | None:
    error = response.get("Error")
    return error["Code"] if error else None


def _item_that_refused(exc: Exception) -> Item | None:
    return exc.response.get("Item") if is_refusal(exc) else None  # type: ignore[return-value]
