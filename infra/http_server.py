"""The HTTP server where no API Gateway stands before the API: uvicorn, with limits on how slow a client may be.

By itself it waits for ever for the rest of a request, and for a client that does not read its answer. Hundreds of such
clients cost nobody anything but sockets and memory, until there are no more of them.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

HEADER_SECONDS: Final = 10.0
"""So long may a request's headers take, from the connection or from their first byte."""
BODY_SECONDS: Final = 60.0
"""So long may a request's body take: 5 MiB at 90 KB/s."""
ANSWER_SECONDS: Final = 60.0
"""So long may an answer wait for its client to read on."""
MOST_FILES: Final = 8192
"""Every connection is an open file; some systems start a process with 256."""


def configured(create_app: Callable[[], Any], **options: Any) -> uvicorn.Config:
    """Uvicorn's configuration for an application factory, with the limits above; ``options`` are uvicorn's own."""
    _allow_many_files()
    return uvicorn.Config(create_app, factory=True, http=PatientProtocol, **options)


class PatientProtocol(H11Protocol):
    """One connection; patient, but not for ever."""

    _limit: asyncio.TimerHandle | None = None
    _limited: Any = None
    """What the limit is for: the state of the client's side of the connection."""
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; the time for the rest goes on."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._limit, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _watch(self) -> None:
        phase = self.conn.their_state
        if phase is self._limited:
            return
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._limited = phase
        seconds = {h11.IDLE: HEADER_SECONDS, h11.SEND_BODY: BODY_SECONDS}.get(phase)
        if seconds is not None:
            self._limit = self.loop.call_later(seconds, self._hang_up)

    def _hang_up(self) -> None:
        if self.conn.their_state is self._limited and not self.transport.is_closing():
            self.transport.close()


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
