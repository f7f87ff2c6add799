"""What lies around tasks and queues, in memory: documents, callbacks and downloads, mail, secrets."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence

from tasklane.errors import ConfigurationError, NonRetryable, Unavailable
from tasklane.ports import HttpResponse


class MemoryBlobStore:
    """Documents in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """See BlobStore."""
        self._blobs[key] = content

    def get(self, key: str) -> bytes | None:
        """See BlobStore."""
        return self._blobs.get(key)

    def url(self, key: str, seconds: int) -> str:
        """See BlobStore. The address is the content itself (RFC 2397), so it is valid for ever."""
        return f"data:application/json;base64,{base64.b64encode(self._blobs.get(key, b'')).decode()}"

    def delete_all(self, prefix: str) -> None:
        """See BlobStore."""
        for key in [key for key in self._blobs if key.startswith(prefix)]:
            self._blobs.pop(key, None)


class MemoryHttp:
    """Callback sender and downloader: keeps what was posted, and answers what ``answer`` says (200 by default)."""

    def __init__(self, answer: Callable[[str], HttpResponse] | None = None) -> None:
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []
        self._answer = answer

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """See CallbackSender."""
        self.posted.append((url, body, dict(headers)))
        return self._response(url)

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        """See Downloader."""
        response = self._response(url)
        if len(response.body) > max_bytes:
            raise NonRetryable(f"the body is larger than {max_bytes} bytes")
        return response

    def _response(self, url: str) -> HttpResponse:
        return self._answer(url) if self._answer else HttpResponse(status_code=200, headers={}, body=b"")


class MemoryMailer:
    """Keeps what was sent, as (to, subject, body); ``refusal`` is raised instead where there is one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.refusal: Exception | None = None

    def send(self, to: str, subject: str, body: str) -> str:
        """See Mailer."""
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((to, subject, body))
        return f"mail-{len(self.sent)}"


class StaticSigningSecrets:
    """Secrets that are simply given; ``tenants`` are those of tenants that have their own."""

    def __init__(self, *secrets: str, tenants: Mapping[str, Sequence[str]] | None = None) -> None:
        self._secrets = secrets
        self._tenants = {} if tenants is None else tenants

    def current(self, tenants: Collection[str]) -> Mapping[str, Sequence[str] | Unavailable | ConfigurationError]:
        """See SigningSecrets."""
        return {tenant: self._tenants.get(tenant, self._secrets) for tenant in tenants}
