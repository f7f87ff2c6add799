"""Reads request bodies: a route class that gives FastAPI's body models strictly read, bounded JSON."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api.errors import BodyTooLarge, InvalidJson, UnsupportedMediaType
from api.strict_json import parse
from tasklane.document import MAX_DOCUMENT

ENVELOPE: Final = 64 * 1024
"""Bytes that a body may have beside its largest document."""
MAX_BODY: Final = MAX_DOCUMENT + ENVELOPE
MAX_READ: Final = 4 * MAX_BODY
"""Bytes read before a body over the limit is refused: a client that still sends when the connection is closed sees a
reset and not the answer, and most of what is too large is not much too large."""
MAX_FIELDS: Final = 100
"""Fields of the outermost object. Each unknown one costs an error message: half a million, half a gigabyte."""
PARSE_HERE: Final = 64 * 1024
"""Bytes up to which parsing is not worth another thread."""
LARGE: Final = 256 * 1024
"""Bytes from which on a body has to wait its turn."""
LARGE_AT_ONCE: Final = 4
"""So many large bodies are in memory at once, each as text and as values: many times its size. The clients of the
others find that their connection takes no more bytes for a while."""


class JsonRequest(Request):
    """A request whose body has been read: ``value`` is its JSON value, as sent."""

    def __init__(self, request: Request, content: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self.content = content
        self.value = value

    async def body(self) -> bytes:
        """The body's bytes."""
        return self.content

    async def json(self) -> Any:
        """The body's value."""
        return self.value


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, is read strictly before FastAPI validates it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See APIRoute."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_and_handle(request: Request) -> Response:
            async with AsyncExitStack() as held:
                return await handle(await read_json(request, held))

        return read_and_handle


async def read_json(request: Request, held: AsyncExitStack) -> JsonRequest:
    """``request`` with its body read; ``held`` is to be closed when the body is needed no more.

    Raises UnsupportedMediaType, BodyTooLarge, InvalidJson, ClientDisconnect.
    """
    _check_media_type(request.headers.get("content-type", ""))
    content = await _read(request, held)
    value = parse(content) if len(content) <= PARSE_HERE else await run_in_threadpool(parse, content)
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise InvalidJson(f"The object has {len(value)} fields; at most {MAX_FIELDS} are read.")
    return JsonRequest(request, content, value)


def _check_media_type(content_type: str) -> None:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    charsets = {part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")}
    if not is_json or charsets - {"utf-8", "utf8"}:
        given = f"is {content_type[:100]!r}" if content_type else "is missing"
        raise UnsupportedMediaType(f"The Content-Type {given}; it must be application/json, in UTF-8.")


async def _read(request: Request, held: AsyncExitStack) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > MAX_READ):
        raise BodyTooLarge(MAX_BODY)
    chunks: list[bytes] = []
    size = 0
    # The declared length may lie or be missing (chunked): what comes is counted, and no more is kept than may be.
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_READ:
            break
        if size - len(chunk) <= LARGE < size <= MAX_BODY:
            await held.enter_async_context(request.app.state.large_bodies)
        if size <= MAX_BODY:
            chunks.append(chunk)
        else:
            chunks.clear()
            await held.aclose()
    if size > MAX_BODY:
        raise BodyTooLarge(MAX_BODY)
    return b"".join(chunks)
