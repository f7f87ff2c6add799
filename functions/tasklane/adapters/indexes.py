"""Looking tasks up in the indexes of the table, which may lag behind the last writes, as such indexes always do."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tasklane.adapters.items import Item
from tasklane.adapters.table import ask
from tasklane.line import EVERY_PULL, shards_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Indexes:
    """The queries of a task store; see TaskStore for what they give. Each raises Unavailable."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        """One query of the sparse index ``due``."""
        found = self._query("due", "due_at", shard, ("<=", until), limit, forward=True)
        return [task_id for _, task_id in found]

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """One query of the index ``recent``."""
        return self._query("recent", "created_at", shard, _from(start, newest=newest), limit, forward=not newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """One query of the sparse index ``outcome``."""
        return self._query("outcome", "outcome_at", shard, _from(start, newest=newest), limit, forward=not newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        """One query of the sparse index ``line`` for each of the line's partitions.

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

    def _in_line(self, index: str, partition: str, limit: int) -> list[Item]:
        answer = ask(
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
        answer = ask(
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


def _from(start: int, *, newest: bool) -> tuple[str, int]:
    return ("<=" if newest else ">=", start)
