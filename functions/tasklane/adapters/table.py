"""What the adapters of both tables share: what the table's errors mean, and reading many items at once."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS: Final = 100
"""The most keys one BatchGetItem takes."""
ROUNDS: Final = 5
"""How often keys that a BatchGetItem left unprocessed are asked for again."""

_T = TypeVar("_T")


def ask(call: Callable[[], _T]) -> _T:
    """What ``call`` of a client gives. Raises Unavailable for every error of the table or of the way to it."""
    try:
        return call()
    except (ClientError, BotoCoreError) as exc:
        raise unavailable(exc) from exc


def unavailable(exc: Exception) -> Unavailable:
    """A client's error as ours."""
    return Unavailable(f"the table did not take the request: {exc}")


def is_refusal(exc: Exception) -> TypeGuard[ClientError]:
    """True where the condition of a write did not hold: the table has answered."""
    return isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ConditionalCheckFailedException"


def is_conflict(exc: Exception) -> bool:
    """True where a write met another one on the same item, or was not made because others had written before."""
    if not isinstance(exc, ClientError):
        return False
    codes = {reason.get("Code") for reason in reasons(exc)}
    met = bool(codes & {"TransactionConflict", "ConditionalCheckFailed"})
    return exc.response["Error"]["Code"] == "TransactionConflictException" or met


def reasons(exc: Exception) -> list[Any]:
    """Why a transaction was cancelled: for each of its items, in their order."""
    return list(exc.response.get("CancellationReasons", ())) if isinstance(exc, ClientError) else []


def batch_get(client: "DynamoDBClient", table: str, keys: Sequence[Any]) -> Iterator[Any]:
    """The items that exist under these primary keys, in no order, as of the last write. Raises Unavailable."""
    for some in chunks(keys, KEYS):
        wanted: Any = {table: {"Keys": list(some), "ConsistentRead": True}}
        for _ in range(ROUNDS):
            answer = ask(partial(client.batch_get_item, RequestItems=wanted))
            yield from answer["Responses"].get(table, ())
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                break
        else:
            raise Unavailable("the table left keys of a batch unprocessed")


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
