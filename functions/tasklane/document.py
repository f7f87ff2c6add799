"""Claim check: a JSON document lives in the task's record while it is small, else in the blob store.

A record's every write is billed by its whole size, so the limit is a few KiB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html).
"""

import json
from typing import Any, Final

from tasklane.errors import DocumentTooLarge, Unavailable
from tasklane.ports import BlobStore
from tasklane.task import Document

INLINE_LIMIT: Final = 4 * 1024
"""Bytes of JSON text that a record keeps itself."""
MAX_DOCUMENT: Final = 5 * 1024 * 1024
"""Bytes of JSON text of the largest payload or result (a Lambda's answer may have 6 MB)."""


def blob_prefix(task_id: str, created_at: int) -> str:
    """What the keys of everything kept for a task begin with.

    An id that derives from an idempotency key may come again after its retention; what is kept for the new task must
    not be removed with the old one, so the time of creation (Unix milliseconds) is part of it.
    """
    return f"{task_id}/{created_at}/"


def to_text(value: Any) -> str:
    """``value`` as compact JSON. Raises ValueError where it is no JSON (NaN, lone surrogates, foreign objects)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    return text


def is_large(text: str) -> bool:
    """True where a record does not keep the text itself."""
    return len(text) > INLINE_LIMIT or len(text.encode()) > INLINE_LIMIT


def from_text(text: str) -> Any:
    """The value of a document's text."""
    return json.loads(text)


def pack(text: str, key: str, blobs: BlobStore) -> Document:
    """The document for ``text``, kept in the blob store under ``key`` where it is large.

    Raises DocumentTooLarge, Unavailable.
    """
    content = text.encode()
    if len(content) > MAX_DOCUMENT:
        raise DocumentTooLarge(len(content), MAX_DOCUMENT)
    if len(content) <= INLINE_LIMIT:
        return Document(text=text, size=len(content))
    blobs.put(key, content)
    return Document(text=None, size=len(content), blob_key=key)


def read_text(document: Document, blobs: BlobStore) -> str:
    """The document's JSON text, from wherever it is kept. Raises Unavailable."""
    if document.text is not None:
        return document.text
    content = blobs.get(document.blob_key or "")
    if content is None:
        raise Unavailable(f"the document {document.blob_key!r} is not in the blob store")
    return content.decode()


def read(document: Document, blobs: BlobStore) -> Any:
    """The document's value. Raises Unavailable."""
    return from_text(read_text(document, blobs))
