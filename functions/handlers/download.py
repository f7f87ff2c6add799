"""``download``: fetches a public URL, keeps its content, and fails where there is none."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from handlers.fetch_url import MAX_BYTES, ServerBusy
from tasklane.context import TaskContext
from tasklane.errors import NonRetryable
from tasklane.registry import task

WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


class DownloadPayload(BaseModel):
    """What to download."""

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl = Field(examples=["https://example.com/"])


class DownloadResult(BaseModel):
    """What came."""

    length: int = Field(description="Bytes of the content.")
    type: str | None = Field(description="Its media type, as the server said.")
    digest: str = Field(description="Its SHA-256, in hexadecimal.")
    content_key: str = Field(description="Where the content is kept in the documents bucket.")


@task("download", retry="idempotent")
def download(payload: DownloadPayload, context: TaskContext) -> DownloadResult:
    """Download a URL and keep its content; any answer but 2xx is a failure."""
    response = context.download(str(payload.url), MAX_BYTES)
    said = f"{payload.url.host} answered {response.status_code}"
    if response.status_code in WORTH_ANOTHER_TRY or response.status_code >= 500:
        raise ServerBusy(said)
    if not 200 <= response.status_code < 300:
        raise NonRetryable(said)
    media_type = response.headers.get("content-type")
    return DownloadResult(
        length=len(response.body),
        type=media_type,
        digest=hashlib.sha256(response.body).hexdigest(),
        content_key=context.keep_file("content", response.body, media_type or "application/octet-stream"),
    )
