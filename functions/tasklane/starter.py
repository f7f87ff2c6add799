"""Begins runs: claimed tasks in, handlers at work out."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from tasklane import document
from tasklane.context import TaskContext
from tasklane.errors import TasklaneError
from tasklane.invoke import HandlerStopped, Invoker
from tasklane.ports import BlobStore, Downloader, Mailer
from tasklane.registry import Registry, TaskType
from tasklane.run import Run
from tasklane.save import patiently
from tasklane.task import Task

REPORT_RESERVE_SECONDS: Final = 3.0
"""Kept back from an invocation's time, so that the outcome of what overran can still be written."""


class Starter:
    """Starts handlers. What prevents a start is the outcome of the run."""

    def __init__(
        self, *, registry: Registry, invoker: Invoker, blobs: BlobStore, downloader: Downloader, mailer: Mailer
    ) -> None:
        self._registry = registry
        self._invoker = invoker
        self._blobs = blobs
        self._downloader = downloader
        self._mailer = mailer

    def begin(self, task: Task, remaining: Callable[[], float], wait_seconds: float = 0.0) -> Run:
        """Start the handler of ``task``, after ``wait_seconds``; ``remaining`` tells the seconds this process has."""
        seconds = max(0.0, min(task.timeout_seconds, remaining() - REPORT_RESERVE_SECONDS - wait_seconds))
        deadline = time.monotonic() + wait_seconds + seconds
        context = TaskContext(
            task=task,
            deadline=deadline,
            process_remaining=lambda: remaining() - REPORT_RESERVE_SECONDS,
            blobs=self._blobs,
            downloader=self._downloader,
            mailer=self._mailer,
        )
        try:
            task_type = self._registry.find(task.type)
            future = self._start(task, task_type, context, time.monotonic() + wait_seconds)
        except (TasklaneError, RuntimeError) as exc:  # RuntimeError: no thread can be started any more
            task_type = TaskType(name=task.type)
            future = Future()
            future.set_exception(exc)
        return Run(task=task, task_type=task_type, context=context, future=future, seconds=seconds, deadline=deadline)

    def _start(self, task: Task, task_type: TaskType, context: TaskContext, start: float) -> "Future[bytes]":
        handler = task_type.handler
        if handler is None:
            raise HandlerStopped(f"task type {task.type!r} has no handler here")

        def arguments() -> tuple[Any, ...]:
            payload = task_type.parse_payload(patiently(lambda: document.read_text(task.payload, self._blobs)))
            return (payload, context) if task_type.wants_context else (payload,)

        # What is returned is made JSON where the handler runs: a large result takes seconds, and its types may have
        # code of their own. The worker's main thread has the leases of the others to renew.
        async def run_async() -> bytes:
            # A large payload is fetched over the network: in a thread, so that the rest of the batch goes on.
            inline = task.payload.blob_key is None
            given = arguments() if inline else await asyncio.to_thread(arguments)
            await asyncio.sleep(max(0.0, start - time.monotonic()))
            return await asyncio.to_thread(task_type.dump_result, await handler(*given))

        def run_plain() -> bytes:
            given = arguments()
            time.sleep(max(0.0, start - time.monotonic()))
            return task_type.dump_result(handler(*given))

        return self._invoker.start(run_async if task_type.is_async else run_plain, is_async=task_type.is_async)
