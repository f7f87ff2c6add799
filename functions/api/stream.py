"""Server-sent events about a task, until it is final (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Under a server it is a true stream. Of a Lambda behind API Gateway a caller sees nothing before it has ended: there each
request gets one event, the next one after ``INTERVAL_SECONDS``, and the caller reconnects with ``Last-Event-ID``.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.request import checked_id, services_of
from tasklane.errors import TaskNotFound, Unavailable
from tasklane.task import Task

INTERVAL_SECONDS: Final = 5.0
"""From one event to the next, where nothing ends before."""
LOOK_SECONDS: Final = 1.0
"""From one look at the table to the next: how late the last event may come."""
RETRY_MS: Final = 500
"""After how long a caller reconnects."""
MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Show = Callable[[Task], Mapping[str, Any]]


async def stream(request: Request, task_id: str, show: Show) -> Response:
    """What ``show`` says of the task, at once and until it is final. Raises TaskNotFound, Unavailable before any event.

    204, which ends an EventSource, where the caller has the last event already.
    """
    watched = _Watched(request, checked_id(task_id), show)
    await watched.look()
    seen = request.headers.get("last-event-id")
    if watched.final and seen == watched.event_id:
        return Response(status_code=204)
    if "aws.context" not in request.scope:
        return StreamingResponse(watched.events(), headers=HEADERS, media_type=MEDIA_TYPE)
    if seen is not None:
        await watched.wait()
    return Response(watched.event(), headers=HEADERS, media_type=MEDIA_TYPE)


class _Watched:
    """A task that is looked at again and again."""

    def __init__(self, request: Request, task_id: str, show: Show) -> None:
        self._read = services_of(request).read
        self._task_id = task_id
        self._show = show
        self._text = ""
        self.final = False

    async def look(self) -> None:
        """Learn how the task is now. Raises TaskNotFound, Unavailable."""
        self._text, self.final = await run_in_threadpool(self._looked)

    async def wait(self) -> None:
        """Return when the next event is due. A look that fails leaves the last one standing."""
        clock = asyncio.get_running_loop().time
        end = clock() + INTERVAL_SECONDS
        while not self.final and (left := end - clock()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            with contextlib.suppress(Unavailable):
                await self.look()

    async def events(self) -> AsyncIterator[str]:
        """All events from now on."""
        with contextlib.suppress(TaskNotFound):  # its retention has ended meanwhile
            while True:
                yield self.event()
                if self.final:
                    return
                await self.wait()

    @property
    def event_id(self) -> str:
        """Names what is known now."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:16]

    def event(self) -> str:
        """What is known now, as an event."""
        return f"data: {self._text}\nid: {self.event_id}\nretry: {RETRY_MS}\n\n"

    def _looked(self) -> tuple[str, bool]:
        task = self._read(self._task_id)
        text = json.dumps(self._show(task), ensure_ascii=False).encode("utf-8", "replace").decode()
        return text, task.status.final
