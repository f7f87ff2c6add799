"""Fetching tasks for an external worker, and waiting for some."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from api.representation import fitting_texts
from api.request import services_of
from tasklane.errors import Unavailable
from tasklane.task import Task

logger = logging.getLogger("tasklane.api")

MAX_WAIT: Final = 20
"""Seconds; API Gateway gives up after 30."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds between looks; each look at an empty line is a query of half a read unit."""


async def fetched(
    request: Request, types: Sequence[str], limit: int, wait: float, lease_seconds: int | None = None
) -> list[Task]:
    """At most ``limit`` tasks of ``types``, leased; waits for the first, but not longer than ``wait`` seconds.

    Holds no thread while it waits. Of a caller that has hung up nothing is kept: what was fetched for it is given back.
    Raises Unavailable, ClientDisconnect.
    """
    services, clock = services_of(request), asyncio.get_running_loop().time
    end, pause = clock() + wait, FIRST_PAUSE
    while True:
        tasks = await run_in_threadpool(services.fetch, types, limit, lease_seconds)
        if await request.is_disconnected():
            if tasks:
                await run_in_threadpool(services.fetch.give_back, tasks)
            raise ClientDisconnect
        left = end - clock()
        if tasks or left <= 0:
            return tasks
        try:
            await asyncio.sleep(min(pause * random.uniform(0.7, 1.3), left))  # noqa: S311 - no secret
        except asyncio.CancelledError:  # the server ends: an empty answer is better than a broken connection
            return []
        pause = min(pause * 1.25, LONGEST_PAUSE)


async def first(request: Request, types: Sequence[str], wait: float) -> Task | None:
    """One task, or None."""
    tasks = await fetched(request, types, 1, wait)
    return tasks[0] if tasks else None


def texts_of(request: Request, tasks: Sequence[Task]) -> dict[str, str]:
    """The payloads' texts, by task id, as far as they fit into one answer; a bucket that is away fits nothing large."""
    services, payloads = services_of(request), {task.id: task.payload for task in tasks}
    try:
        return fitting_texts(services, payloads)
    except Unavailable as exc:
        logger.warning("Payloads could not be read.", extra={"action": "payload_unread", "error": str(exc)})
        return fitting_texts(services, payloads, fetch=False)
