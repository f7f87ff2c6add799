"""Tasks as DynamoDB items, mapped by hand in this one place.

An attribute that holds the field's default is not stored: every write is billed by the size of the whole item. The
field of the same name in ``tasklane.task`` says what an attribute means; the others are:

``shard``                          which part of the indexes the task is in; a hash of its id
``payload``, ``result``, ``state`` JSON text as a string, or deflated (RFC 1950) as binary where that is shorter;
                                   a result with the payload as dictionary, since results resemble payloads
``payload_key``, ``payload_size``  instead of ``payload`` where it is in the blob store; likewise for the others
``line_rank``                      its place in the line; ``line`` itself ends in the line's index partition
``pull``                           there, and always the same, while it waits for an external worker
``progress_message``               the sentence of ``progress``, which itself holds the fraction
``callback_url``, ``callback_state``, ``callback_tries``, ``callback_earlier``, ``callback_next_at``,
``callback_history``, ``callback_events`` (with commas between), ``callback_told``, ``callback_give_up_on_4xx``
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from tasklane import line
from tasklane.task import (
    DEFAULT_TENANT,
    Attempt,
    Callback,
    CallbackEvent,
    CallbackState,
    CallbackTry,
    Document,
    ErrorDetails,
    Progress,
    Status,
    Task,
)

Value: TypeAlias = Any
"""One AttributeValue: ``{"S": …}``, ``{"N": …}``, ``{"B": …}``, ``{"M": …}`` or ``{"L": …}``."""
Item: TypeAlias = dict[str, Value]

SHARDS: Final = tuple("0123456789abcdef")
"""Sixteen index partitions take 16 × 1,000 writes a second, about 8,000 tasks a second."""
DEFLATE_FROM: Final = 256
"""Bytes of JSON below which deflating saves nothing worth an unreadable item."""

_STRINGS: Final = ("type", "tenant", "lease_id", "request_hash", "correlation_id", "contract", "ended_by")
_NUMBERS: Final = (
    "priority",
    "created_at",
    "timeout_seconds",
    "max_attempts",
    "attempts_each",
    "reopened_at",
    "run_at",
    "expires_at",
    "run",
    "uncounted",
    "continuations",
    "reserved_at",
    "reserved_on",
    "reserved_first",
    "lease_until",
    "started_at",
    "finished_at",
    "due_at",
    "sends",
    "outcome_at",
    "delete_at",
)
_FLAGS: Final = ("has_blobs", "cancel_requested", "external")
"""Attributes that are there, and true, or not there."""
_NOT_STORED: Final[Mapping[str, Any]] = {"tenant": DEFAULT_TENANT, "sends": 0, "uncounted": 0, "continuations": 0}
_CALLBACK_GUARD: Final = ("callback_state", "callback_tries")


def shard_of(task_id: str) -> str:
    """The shard of a task."""
    return SHARDS[_hash(task_id) % len(SHARDS)]


def key(task_id: str) -> Item:
    """The item's primary key."""
    return {"task_id": {"S": task_id}}


def guards(field: str) -> Sequence[str]:
    """The attributes that a write must find unchanged for the record's ``field`` to be unchanged."""
    return _CALLBACK_GUARD if field == "callback" else (field,)


def to_item(task: Task) -> Item:
    """The item that keeps ``task``."""
    item = key(task.id) | {"shard": {"S": shard_of(task.id)}, "status": {"S": task.status.value}}
    for names, kind in ((_STRINGS, "S"), (_NUMBERS, "N")):
        for name in names:
            value = getattr(task, name)
            if value is not None and value != _NOT_STORED.get(name):
                item[name] = {kind: str(value)}
    item |= {name: {"BOOL": True} for name in _FLAGS if getattr(task, name)}
    if task.labels:
        item["labels"] = {"M": {name: {"S": value} for name, value in task.labels.items()}}
    if task.retry:
        item["retry"] = {"S": json.dumps(dict(task.retry), separators=(",", ":"))}
    if task.error is not None:
        item["error"] = _plain(asdict(task.error))
    if task.attempts:
        item["attempts"] = {"L": [_plain(asdict(attempt)) for attempt in task.attempts]}
    item |= _document("payload", task.payload)
    item |= _document("result", task.result, like=task.payload) | _document("state", task.state)
    return item | _held_back(task) | _progress_item(task.progress) | _callback_item(task.callback)


def from_item(item: Mapping[str, Value]) -> Task:
    """The task that ``item`` keeps."""
    fields: dict[str, Any] = {name: item[name]["S"] for name in _STRINGS if name in item}
    fields |= {name: int(item[name]["N"]) for name in _NUMBERS if name in item}
    fields |= {name: name in item for name in _FLAGS}
    payload = _read_document("payload", item) or Document(text="null", size=4)
    return Task(
        id=item["task_id"]["S"],
        status=Status(item["status"]["S"]),
        payload=payload,
        result=_read_document("result", item, like=payload),
        state=_read_document("state", item),
        retry=json.loads(item["retry"]["S"]) if "retry" in item else None,
        labels={name: value["S"] for name, value in item.get("labels", {}).get("M", {}).items()},
        line=item["line"]["S"].rpartition("#")[0] if "line" in item else None,
        throttle_keys=tuple(one["S"] for one in item.get("throttle_keys", {}).get("L", ())),
        slots=tuple(one["S"] for one in item.get("slots", {}).get("L", ())),
        progress=_read_progress(item),
        error=ErrorDetails(**_value(item["error"])) if "error" in item else None,
        attempts=tuple(_read_attempt(_value(one)) for one in item.get("attempts", {}).get("L", ())),
        callback=_read_callback(item),
        **fields,
    )


def _document(name: str, document: Document | None, like: Document | None = None) -> Item:
    """``like`` is a document that this one may resemble: it serves as preset dictionary (RFC 1950, FDICT)."""
    if document is None:
        return {}
    if document.text is None:
        return {f"{name}_key": {"S": document.blob_key or ""}, f"{name}_size": {"N": str(document.size)}}
    if document.size >= DEFLATE_FROM:
        deflate = zlib.compressobj(zdict=_dictionary(like))
        deflated = deflate.compress(document.text.encode()) + deflate.flush()
        if len(deflated) < document.size:
            return {name: {"B": deflated}}
    return {name: {"S": document.text}}


def _dictionary(like: Document | None) -> bytes:
    return b"" if like is None or like.text is None else like.text.encode()


def _read_document(name: str, item: Mapping[str, Value], like: Document | None = None) -> Document | None:
    if f"{name}_key" in item:
        return Document(text=None, size=int(item[f"{name}_size"]["N"]), blob_key=item[f"{name}_key"]["S"])
    if name not in item:
        return None
    value = item[name]
    inflate = zlib.decompressobj(zdict=_dictionary(like))
    text = value["S"] if "S" in value else inflate.decompress(bytes(value["B"])).decode()
    return Document(text=text, size=len(text.encode()))


def _held_back(task: Task) -> Item:
    item: Item = {
        name: {"L": [{"S": key} for key in keys]}
        for name, keys in (("throttle_keys", task.throttle_keys), ("slots", task.slots))
        if keys
    }
    if task.line is None:
        return item
    item |= {"pull": {"S": line.EVERY_PULL}} if line.is_pull(task.line) else {}
    return item | {"line": {"S": line.shard_of(task.line, _hash(task.id))}, "line_rank": {"S": line.rank(task)}}


def _hash(task_id: str) -> int:
    return zlib.crc32(task_id.encode())


def _progress_item(progress: Progress | None) -> Item:
    if progress is None:
        return {}
    # The table keeps numbers without trailing zeros: a write is recognised as one's own only if it has none either.
    item: Item = {"progress": {"N": f"{progress.fraction:.4f}".rstrip("0").rstrip(".")}}
    return item if progress.message is None else item | {"progress_message": {"S": progress.message}}


def _read_progress(item: Mapping[str, Value]) -> Progress | None:
    if "progress" not in item:
        return None
    return Progress(fraction=float(item["progress"]["N"]), message=item.get("progress_message", {}).get("S"))


def _read_attempt(fields: dict[str, Any]) -> Attempt:
    return Attempt(**{**fields, "error": ErrorDetails(**fields["error"])})


def _callback_item(callback: Callback | None) -> Item:
    if callback is None:
        return {}
    item: Item = {
        "callback_url": {"S": callback.url},
        "callback_state": {"S": callback.state.value},
        "callback_tries": {"N": str(callback.tries)},
    }
    if callback.earlier:
        item["callback_earlier"] = {"N": str(callback.earlier)}
    if callback.next_at is not None:
        item["callback_next_at"] = {"N": str(callback.next_at)}
    if callback.events:
        item["callback_events"] = {"S": ",".join(callback.events)}
    if callback.told:
        item["callback_told"] = {"N": str(callback.told)}
    if callback.give_up_on_4xx is not None:
        item["callback_give_up_on_4xx"] = {"BOOL": callback.give_up_on_4xx}
    if callback.history:
        item["callback_history"] = {"L": [_plain(asdict(one)) for one in callback.history]}
    return item


def _read_callback(item: Mapping[str, Value]) -> Callback | None:
    if "callback_url" not in item:
        return None
    return Callback(
        url=item["callback_url"]["S"],
        state=CallbackState(item["callback_state"]["S"]),
        tries=int(item["callback_tries"]["N"]),
        earlier=int(item["callback_earlier"]["N"]) if "callback_earlier" in item else 0,
        next_at=int(item["callback_next_at"]["N"]) if "callback_next_at" in item else None,
        events=tuple(CallbackEvent(one) for one in _words(item.get("callback_events"))),
        told=int(item["callback_told"]["N"]) if "callback_told" in item else 0,
        give_up_on_4xx=item.get("callback_give_up_on_4xx", {}).get("BOOL"),
        history=tuple(CallbackTry(**_value(one)) for one in item.get("callback_history", {}).get("L", ())),
    )


def _words(value: Value | None) -> Sequence[str]:
    return value["S"].split(",") if value else ()


def _plain(value: Any) -> Value:
    """Strings, integers and dictionaries of them as AttributeValues; None is left out."""
    if isinstance(value, dict):
        return {"M": {name: _plain(one) for name, one in value.items() if one is not None}}
    return {"S": value} if isinstance(value, str) else {"N": json.dumps(value)}


def _value(value: Value) -> Any:
    if "M" in value:
        return {name: _value(one) for name, one in value["M"].items()}
    return value["S"] if "S" in value else int(value["N"])
