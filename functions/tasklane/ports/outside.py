"""What lies around tasks and queues: documents, callbacks and downloads, mail, secrets, the time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasklane.errors import ConfigurationError, Unavailable


class BlobStore(Protocol):
    """Keeps what is too large for a record."""

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Keep ``content`` under ``key``, replacing what was there. Raises Unavailable."""

    def get(self, key: str) -> bytes | None:
        """The content, or None where nothing is kept under ``key``. Raises Unavailable."""

    def url(self, key: str, seconds: int) -> str:
        """An address at which anybody who knows it may read the content for so many seconds from now.

        By the clock of whoever keeps the content; and no longer than the rights last of who asks for it. Nothing is
        looked up: where nothing is kept under ``key``, there is nothing at the address. Raises Unavailable.
        """

    def delete_all(self, prefix: str) -> None:
        """Forget every key that begins with ``prefix``. Raises Unavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """What a receiver answered: ``headers`` in lower case, ``body`` cut to the cap."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class CallbackSender(Protocol):
    """Posts callbacks to public addresses; follows no redirect and no proxy variable."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """POST ``body``. Raises AddressRefused where the outbound guard says no, Unavailable where no answer came."""


class Downloader(Protocol):
    """Fetches from public addresses; follows redirects, each checked like the first address."""

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        """GET ``url``, its body whole.

        Raises AddressRefused where the outbound guard says no, NonRetryable where the body is over ``max_bytes``,
        Unavailable where no whole answer came in time.
        """


class Outbound(CallbackSender, Downloader, Protocol):
    """Everything that leaves for public addresses."""


class Mailer(Protocol):
    """Sends mail from the installation's own address."""

    def send(self, to: str, subject: str, body: str) -> str:
        """Send a mail in plain text; the mail service's name for it.

        Raises MailRefused where it will never be sent, Unavailable where it may be later (throttling, no answer). One
        whose answer was lost may have been sent.
        """


class SigningSecrets(Protocol):
    """Knows the secrets that callbacks are signed with: a tenant's own or, where it has none, the installation's."""

    def current(self, tenants: Collection[str]) -> Mapping[str, Sequence[str] | Unavailable | ConfigurationError]:
        """The live ``whsec_`` secrets of each tenant, newest first, one or two; or why they cannot be had.

        Never raises. Secrets of its own that make no sense are an error: the installation's would be wrong ones.
        """


class Clock(Protocol):
    """Tells the time, so that tests may tell it otherwise."""

    def now(self) -> int:
        """Unix milliseconds."""
