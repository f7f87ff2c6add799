"""What every blob store promises."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.local.target import REGION
from tasklane import document
from tasklane.adapters.s3 import S3BlobStore
from tasklane.aws import client_config
from tasklane.ports import BlobStore
from tests.support.engine import Aws, unique
from tests.support.waiting import wait_for


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


def test_an_address_is_for_some_seconds_and_one_content(blobs: BlobStore) -> None:
    """As S3 signs it; what memory gives is its content itself."""
    key = f"{unique('task')}/result-1"
    blobs.put(key, b'{"a": 1}')

    address = urlsplit(blobs.url(key, 90))

    if address.scheme == "data":
        assert base64.b64decode(address.path.partition(",")[2]) == b'{"a": 1}'
        return
    signed = parse_qs(address.query)
    assert address.path.endswith(f"/{key}")
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"], "newer regions know no other version"
    assert signed["X-Amz-Credential"][0].split("/")[2:] == [REGION, "s3", "aws4_request"]
    assert signed["X-Amz-Expires"] == ["90"]


# -- addresses, as the engine honours them -----------------------------------------------------------------------------


@pytest.fixture
def engine_blobs(engine_aws: Aws) -> BlobStore:
    return S3BlobStore(engine_aws.client("s3", client_config("s3")), engine_aws.a_bucket())


def fetched(url: str) -> tuple[int, bytes, str]:
    """What somebody without credentials gets."""
    answer = httpx.get(url, timeout=20)
    return answer.status_code, answer.content, answer.headers["content-type"]


@pytest.mark.engine
def test_anybody_may_read_what_he_has_the_address_of_and_nothing_else(engine_blobs: BlobStore) -> None:
    task = unique("task")
    for name in ("result-1", "result-2"):
        engine_blobs.put(f"{task}/1750000000000/{name}", f'"{name} 🦊"'.encode())

    url = engine_blobs.url(f"{task}/1750000000000/result-1", 60)

    assert fetched(url) == (200, '"result-1 🦊"'.encode(), "application/json")
    assert fetched(url.replace("result-1", "result-2"))[0] == 403
    assert fetched(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))[0] == 403
    assert fetched(url.partition("?")[0])[0] == 403
    assert httpx.put(url, content=b"other").status_code == 403
    assert engine_blobs.get(f"{task}/1750000000000/result-1") == '"result-1 🦊"'.encode()


@pytest.mark.engine
def test_an_address_expires(engine_blobs: BlobStore) -> None:
    key = f"{unique('task')}/result-1"
    engine_blobs.put(key, b"1")
    url = engine_blobs.url(key, 1)

    wait_for(lambda: fetched(url)[0] == 403)

    assert b"expired" in fetched(url)[1]


@pytest.mark.engine
def test_an_address_of_nothing_leads_nowhere(engine_blobs: BlobStore) -> None:
    assert fetched(engine_blobs.url(f"{unique('task')}/result-1", 60))[0] == 404
