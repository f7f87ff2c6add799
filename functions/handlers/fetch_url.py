"""``fetch_url``: downloads a public URL and keeps its content."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from tasklane.context import TaskContext
from tasklane.errors import NonRetryable
from tasklane.registry import task

MAX_BYTES = 32 * 1024 * 1024
"""The largest body kept: it is held in memory."""
TOO_MANY_REQUESTS = 429


class FetchUrlPayload(BaseModel):
    """What to download."""

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl = Field(examples=["https://example.com/"])


class FetchUrlResult(BaseModel):
    """What came."""

    status: int = Field(description="The HTTP status code.")
    length: int = Field(description="Bytes of the body.")
    type: str | None = Field(description="Its media type, as the server said.")
    sha256: str = Field(description="Its digest, in hexadecimal.")
    content_key: str = Field(description="Where the content is kept in the documents bucket.")


class ServerBusy(Exception):
    """The server answered 429 or 5xx: worth another attempt."""


@task("fetch_url")
def fetch_url(payload: FetchUrlPayload, context: TaskContext) -> FetchUrlResult:
    """Download a URL and keep its content; any answer but 429 and 5xx is a result."""
    if payload.url.username or payload.url.password:
        raise NonRetryable("A URL with credentials is not fetched.")
    response = context.download(str(payload.url), MAX_BYTES)
    if response.status_code == TOO_MANY_REQUESTS or response.status_code >= 500:
        raise ServerBusy(f"{payload.url.host} answered {response.status_code}")
    media_type = response.headers.get("content-type")
    return FetchUrlResult(
        status=response.status_code,
        length=len(response.body),
        type=media_type,
        sha256=hashlib.sha256(response.body).hexdigest(),
        content_key=context.keep_file("content", response.body, media_type or "application/octet-stream"),
    )
