"""Claim check: small documents in the record, large ones in the blob store, and none over the limit."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklane import document
from tasklane.adapters.memory import MemoryBlobStore
from tasklane.document import INLINE_LIMIT, MAX_DOCUMENT
from tasklane.errors import DocumentTooLarge, Unavailable
from tasklane.task import Document

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_json)
def test_json_comes_back_as_it_was(value: Any) -> None:
    blobs = MemoryBlobStore()

    assert document.read(document.pack(document.to_text(value), "key", blobs), blobs) == value


def test_json_is_compact_and_keeps_its_characters() -> None:
    assert document.to_text({"a": ["ü", 1]}) == '{"a":["ü",1]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        document.to_text(value)


def test_a_foreign_object_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        document.to_text({"a": object()})


@pytest.mark.parametrize(
    ("text", "inline"),
    [
        ("x" * INLINE_LIMIT, True),
        ("x" * (INLINE_LIMIT + 1), False),
        ("ü" * (INLINE_LIMIT // 2), True),
        ("ü" * (INLINE_LIMIT // 2) + "x", False),
    ],
)
def test_a_document_over_the_inline_limit_goes_to_the_blob_store(text: str, inline: object) -> None:
    blobs = MemoryBlobStore()

    packed = document.pack(text, "task/payload", blobs)

    assert (packed.text is not None) is inline
    assert packed.size == len(text.encode())
    assert (blobs.get("task/payload") is None) is inline
    assert document.read_text(packed, blobs) == text


def test_a_document_over_the_limit_is_refused_with_both_sizes() -> None:
    assert document.pack("x" * MAX_DOCUMENT, "key", MemoryBlobStore()).blob_key == "key"
    with pytest.raises(DocumentTooLarge, match=rf"{MAX_DOCUMENT + 2} bytes; the limit is {MAX_DOCUMENT}") as caught:
        document.pack("ü" * (MAX_DOCUMENT // 2 + 1), "key", MemoryBlobStore())
    assert (caught.value.size, caught.value.limit) == (MAX_DOCUMENT + 2, MAX_DOCUMENT)


def test_a_document_whose_text_is_gone_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="task/payload"):
        document.read(Document(text=None, size=9, blob_key="task/payload"), MemoryBlobStore())


def test_reading_gives_the_value() -> None:
    assert document.read(Document(text=json.dumps({"a": 1}), size=8), MemoryBlobStore()) == {"a": 1}
