"""What every blob store promises."""

import hashlib

from tasklane import document
from tasklane.ports import BlobStore
from tests.support.engine import unique


def test_content_comes_back_byte_by_byte(blobs: BlobStore) -> None:
    key = f"{unique('task')}/payload-1"
    content = bytes(range(256)) + "ünï 🦊".encode()

    blobs.put(key, content)

    assert blobs.get(key) == content


def test_a_key_that_keeps_nothing_gives_nothing(blobs: BlobStore) -> None:
    assert blobs.get(f"{unique('task')}/payload-1") is None


def test_content_is_replaced(blobs: BlobStore) -> None:
    key = f"{unique('task')}/files/content"
    blobs.put(key, b"first", "text/plain")

    blobs.put(key, b"", "application/octet-stream")

    assert blobs.get(key) == b""


def test_the_largest_document_comes_back_whole(blobs: BlobStore) -> None:
    text = '"' + "x🦊" * (document.MAX_DOCUMENT // 5 - 1) + '"'

    packed = document.pack(text, f"{unique('task')}/payload-1", blobs)

    assert packed.text is None
    assert packed.size == len(text.encode())
    assert hashlib.sha256(document.read_text(packed, blobs).encode()).digest() == hashlib.sha256(text.encode()).digest()


def test_everything_of_a_task_is_removed_and_nothing_else(blobs: BlobStore) -> None:
    gone, stays = unique("task"), unique("task")
    for key in (f"{gone}/payload-1", f"{gone}/files/content", f"{stays}/payload-1"):
        blobs.put(key, b"x")

    blobs.delete_all(f"{gone}/")
    blobs.delete_all(f"{unique('task')}/")

    assert blobs.get(f"{gone}/payload-1") is None
    assert blobs.get(f"{gone}/files/content") is None
    assert blobs.get(f"{stays}/payload-1") == b"x"
