"""A shared step: one try to post a callback, whatever it tells."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from tasklane.addresses import why_never
from tasklane.callback_body import Event, body_of
from tasklane.errors import AddressRefused, public_details
from tasklane.ports import CallbackSender, Clock, HttpResponse
from tasklane.signature import signed_headers
from tasklane.task import CallbackTry

MAX_RETRY_AFTER: Final = 86_400.0
"""Seconds: the longest pause that a receiver may ask for."""
GONE: Final = 410
"""The receiver wants no more of this (Standard Webhooks)."""
LATER: Final = frozenset({408, 429})
"""What a receiver answers that only wants it later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What is to be posted: to whom, under which ``webhook-id``, as which try."""

    url: str
    webhook_id: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """How a try went: as the record keeps it, and what the receiver answered (None: nothing).

    ``refused``: the outbound guard refuses the very address that the URL spells, whatever a name server says.
    """

    entry: CallbackTry
    response: HttpResponse | None
    refused: bool = False

    @property
    def delivered(self) -> bool:
        """True where the receiver answered 2xx."""
        return self.response is not None and 200 <= self.response.status_code < 300

    def is_final(self, *, give_up_on_4xx: bool) -> bool:
        """True where another try would be in vain.

        The receiver is gone, can never be reached or, if that counts, says that we are wrong.
        """
        status = 0 if self.response is None else self.response.status_code
        return self.refused or status == GONE or (give_up_on_4xx and 400 <= status < 500 and status not in LATER)

    def retry_after(self, now: int) -> float:
        """Seconds the receiver asks for (RFC 9110, section 10.2.3), at most a day; 0 where it asks for none."""
        value = self.response.headers.get("retry-after", "").strip() if self.response else ""
        if value.isascii() and value.isdigit():
            return min(float(value[:9]), MAX_RETRY_AFTER)
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now / 1000
        except (TypeError, ValueError, OverflowError):
            return 0.0
        return min(max(seconds, 0.0), MAX_RETRY_AFTER)


class Poster:
    """Signs and posts."""

    def __init__(self, *, sender: CallbackSender, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock

    def __call__(
        self, letter: Letter, event: Callable[[], Event], secrets: Sequence[str], timeout_seconds: float
    ) -> Posted:
        """Make a try to tell what ``event`` gives. Never raises: whatever goes wrong is how the try went."""
        started_at, begun = self._clock.now(), time.monotonic()
        response: HttpResponse | None = None
        error: str | None = None
        refused = False
        try:
            told = event()
            content = body_of(told, told.task.contract)
            body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
            headers = signed_headers(secrets, letter.webhook_id, started_at // 1000, body)
            response = self._sender.post(letter.url, body, headers, timeout_seconds)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the others of the batch must be written down
            error = public_details(exc)["message"]
            refused = isinstance(exc, AddressRefused) and why_never(letter.url, allow_loopback=False) is not None
        entry = CallbackTry(
            number=letter.number,
            started_at=started_at,
            duration_ms=round((time.monotonic() - begun) * 1000),
            status_code=response.status_code if response else None,
            error=error,
        )
        return Posted(entry=entry, response=response, refused=refused)
