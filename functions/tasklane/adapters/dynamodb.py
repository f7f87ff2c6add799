"""The task store on DynamoDB: one item a task, every write conditional, a batch of writes in one request."""

import contextlib
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.adapters.items import SHARDS, Item, from_item, key, to_item
from tasklane.adapters.limits import LimitedWrites, Refused
from tasklane.adapters.writes import Write, change_write, claim_write, removal
from tasklane.errors import Unavailable
from tasklane.line import EVERY_PULL, shards_of
from tasklane.ports import Blocked, Change, Claim
from tasklane.task import Task
from tasklane.transitions import begun

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger(__name__)

STATEMENTS: Final = 25
"""The most statements one BatchExecuteStatement takes."""
KEYS: Final = 100
"""The most keys one BatchGetItem takes."""
READ_ROUNDS: Final = 5
"""How often keys that a BatchGetItem left unprocessed are asked for again."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class DynamoDbTaskStore:
    """Keeps tasks in a table; ``control_table`` has the limits that claims count towards.

    ``batches`` False writes one by one, for engines that do not speak PartiQL.
    """

    shards: Sequence[str] = SHARDS

    def __init__(self, client: "DynamoDBClient", table: str, *, control_table: str = "", batches: bool = True) -> None:
        self._client = client
        self._table = table
        self._limited = LimitedWrites(client, table, control_table)
        self._batches = batches

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        """See TaskStore. One conditional put each: an id that is taken is never overwritten."""
        return [self._put(task) for task in tasks] if len(tasks) == 1 or not self._batches else self._put_many(tasks)

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """See TaskStore. Consistent reads."""
        ids = list(dict.fromkeys(task_ids))
        if len(ids) == 1:
            answer = _ask(lambda: self._client.get_item(TableName=self._table, Key=key(ids[0]), ConsistentRead=True))
            return {ids[0]: _read(answer["Item"])} if "Item" in answer else {}
        found: dict[str, Task] = {}
        for chunk in _chunks(ids, KEYS):
            for item in self._batch_get(chunk):
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
        free = [change for change in changes if not _given_back(change)]
        answers = iter(self._save_all([change_write(change) for change in free]) if free else ())
        return [self._save_limited(change) if _given_back(change) else next(answers) for change in changes]

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
        """See TaskStore. One query of the sparse index ``due``."""
        found = self._query("due", "due_at", shard, ("<=", until), limit, forward=True)
        return [task_id for _, task_id in found]

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore. One query of the index ``recent``."""
        return self._query("recent", "created_at", shard, _from(start, newest=newest), limit, forward=not newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore. One query of the sparse index ``outcome``."""
        return self._query("outcome", "outcome_at", shard, _from(start, newest=newest), limit, forward=not newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        """See TaskStore. One query of the sparse index ``line`` for each of the line's partitions.

        All lines of external tasks taken as one have the index ``pull``.
        """
        if line == EVERY_PULL:
            return [item["task_id"]["S"] for item in self._in_line("pull", line, limit)]
        shards = shards_of(line)
        if len(shards) == 1:
            return [item["task_id"]["S"] for item in self._in_line("line", shards[0], limit)]
        with ThreadPoolExecutor(max_workers=min(8, len(shards))) as pool:
            pages = pool.map(lambda shard: self._in_line("line", shard, limit), shards)
            ranks = [(item["line_rank"]["S"], item["task_id"]["S"]) for page in pages for item in page]
        return [task_id for _, task_id in sorted(ranks)[:limit]]

    def check(self) -> None:
        """See TaskStore."""
        _ask(lambda: self._client.describe_table(TableName=self._table))

    def _in_line(self, index: str, partition: str, limit: int) -> list[Item]:
        answer = _ask(
            lambda: self._client.query(
                TableName=self._table,
                IndexName=index,
                KeyConditionExpression="#line = :line",
                ExpressionAttributeNames={"#line": index},
                ExpressionAttributeValues={":line": {"S": partition}},
                Limit=limit,
            )
        )
        return answer["Items"]

    def _query(
        self, index: str, time: str, shard: str, bound: tuple[str, int], limit: int, *, forward: bool
    ) -> list[tuple[int, str]]:
        answer = _ask(
            lambda: self._client.query(
                TableName=self._table,
                IndexName=index,
                KeyConditionExpression=f"#shard = :shard AND #time {bound[0]} :bound",
                ExpressionAttributeNames={"#shard": "shard", "#time": time},
                ExpressionAttributeValues={":shard": {"S": shard}, ":bound": {"N": str(bound[1])}},
                ScanIndexForward=forward,
                Limit=limit,
            )
        )
        return [(int(item[time]["N"]), item["task_id"]["S"]) for item in answer["Items"]]

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
            return _unavailable(exc) if existing is None else _read_or_unavailable(existing)
        return task

    def _put_many(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        answers: list[Task | Unavailable] = []
        for chunk in _chunks(tasks, STATEMENTS):
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
            if not _is_refusal(exc):
                return _unavailable(exc)
            existing = _item_that_refused(exc)
            return _read_or_unavailable(existing) if existing and write.has_happened(existing) else None
        return _read_or_unavailable(answer["Attributes"])

    def _save(self, write: Write) -> bool | Unavailable:
        try:
            self._client.update_item(TableName=self._table, **write.as_update())
        except (ClientError, BotoCoreError) as exc:
            if not _is_refusal(exc):
                return _unavailable(exc)
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
                now=claim.now,
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
        answer = self._limited.write(write, gives=_given_back(change))
        if isinstance(answer, Refused):
            return write.has_happened(answer.item)
        return answer if isinstance(answer, Unavailable) else True

    def _remove(self, task: Task) -> bool | Unavailable:
        try:
            self._client.delete_item(TableName=self._table, **removal(task))
        except (ClientError, BotoCoreError) as exc:
            return False if _is_refusal(exc) else _unavailable(exc)
        return True

    def _execute(self, writes: Sequence[Write], *, returning: bool) -> list[Any]:
        return self._batch_execute([write.as_statement(self._table, returning=returning) for write in writes])

    def _batch_execute(self, statements: Sequence[Any]) -> list[Any]:
        return list(_ask(lambda: self._client.batch_execute_statement(Statements=statements))["Responses"])

    def _batch_get(self, ids: Sequence[str]) -> Iterator[Item]:
        wanted: Any = {self._table: {"Keys": [key(one) for one in ids], "ConsistentRead": True}}
        for _ in range(READ_ROUNDS):
            answer = _ask(partial(self._client.batch_get_item, RequestItems=wanted))
            yield from answer["Responses"].get(self._table, ())
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                return
        raise Unavailable("the table left keys of a batch unprocessed")


def _from(start: int, *, newest: bool) -> tuple[str, int]:
    return ("<=" if newest else ">=", start)


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
    for chunk in _chunks(writes, STATEMENTS):
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


def _given_back(change: Change) -> list[str]:
    return [key for key in change.before.slots if key not in change.after.slots]


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


def _ask(call: Callable[[], _T]) -> _T:
    try:
        return call()
    except (ClientError, BotoCoreError) as exc:
        raise _unavailable(exc) from exc


def _unavailable(exc: Exception) -> Unavailable:
    return Unavailable(f"the table did not take the request: {exc}")


def _is_refusal(exc: Exception) -> bool:
    return isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _item_that_refused(exc: Exception) -> Item | None:
    return exc.response.get("Item") if isinstance(exc, ClientError) and _is_refusal(exc) else None  # type: ignore[return-value]


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
