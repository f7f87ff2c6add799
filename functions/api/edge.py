"""The outermost layer: correlation ids, HEAD, and a problem document for what nobody foresaw."""

import logging
from collections.abc import Collection
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import correlation
from api.problems import internal_error

logger = logging.getLogger("tasklane.api")

HEADER: Final = correlation.HEADER.lower().encode()


class Edge:
    """ASGI middleware around everything that can answer.

    ``not_safe``: addresses whose GET changes something, so that HEAD is not answered there.
    """

    def __init__(self, app: ASGIApp, not_safe: Collection[str] = ()) -> None:
        self._app = app
        self._not_safe = not_safe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; no exception leaves before an answer has."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        head = scope["method"] == "HEAD"
        header = (HEADER, correlation.begin(scope).id.encode())

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], header]}
            elif head:
                await send({**message, "body": b"", "more_body": False})
                if message.get("more_body"):
                    raise ClientDisconnect  # a stream would go on as long as there is something to tell
                return
            await send(message)

        as_get = head and scope["path"] not in self._not_safe
        try:
            # What answers GET answers HEAD (RFC 9110, section 9.3.2); the OpenAPI document need not list both.
            await self._app({**scope, "method": "GET"} if as_get else scope, receive, send_on)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception:
            logger.exception(
                "A request ended in an error that nobody foresaw.",
                extra={"action": "unforeseen", "method": scope["method"], "path": scope["path"]},
            )
            if started:
                raise
            await internal_error(Request(scope))(scope, receive, send_on)
