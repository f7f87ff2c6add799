"""Starts handlers: a plain one in a thread of its own, async ones together in one event loop.

Each call gives a future at once, so that the worker watches all of a batch and waits for none. A thread cannot be
stopped: one that overruns is left behind (daemon), and its context is closed. The loop runs in a thread too, so that a
handler that blocks it cannot keep the worker from reporting; it is kept between batches, so that handlers may keep
clients bound to it. A process in which too much was left behind is worn out, and its owner is to end it.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final
from weakref import WeakKeyDictionary

from tasklane.errors import AttemptFailed

MAX_LEFT_BEHIND: Final = 5
"""So many handlers may go on after their time. Each may take its share of the processor and of the memory for ever."""
MAX_THREADS: Final = 256
"""So many threads may there be in all, whoever started them; Lambda allows 1024 processes and threads
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""


class HandlerStopped(AttemptFailed):
    """The handler tried to end the process (SystemExit, KeyboardInterrupt) or was cancelled from inside."""


class Invoker:
    """Runs handlers. One per worker process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        self._threads: WeakKeyDictionary[Future[Any], threading.Thread] = WeakKeyDictionary()
        self._left_behind: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._no_more_threads = False

    @property
    def worn_out(self) -> str | None:
        """Why this process should take no more work, as a sentence; None: it is well."""
        with self._lock:
            self._left_behind = {thread for thread in self._left_behind if thread.is_alive()}
        if self._no_more_threads:
            return "No thread could be started any more."
        if (left := len(self._left_behind)) >= MAX_LEFT_BEHIND:
            return f"{left} handlers go on after their time."
        if (alive := threading.active_count()) > MAX_THREADS:
            return f"There are {alive} threads: handlers leave theirs behind."
        return None

    def start(self, function: Callable[..., Any], *args: Any, is_async: bool) -> "Future[Any]":
        """Begin ``function(*args)``. Whatever it raises, ``SystemExit`` too, ends up in the future as an Exception.

        Raises RuntimeError where no thread can be started any more.
        """
        if is_async:
            loop = self._running_loop()
            return asyncio.run_coroutine_threadsafe(_guarded(function(*args)), loop)
        future: Future[Any] = Future()
        self._threads[future] = self._started("handler", _call, future, function, args)
        return future

    def abandon(self, future: "Future[Any]", grace_seconds: float = 1.0) -> None:
        """Give up on a call: an async handler is cancelled and has ``grace_seconds`` to clean up, a plain one goes on.

        A loop that does not react any more (a handler blocks it) is left behind, and the next call starts a new one.
        """
        if (thread := self._threads.get(future)) is not None:
            self._leave_behind(thread)
        loop, loop_thread = self._loop, self._loop_thread
        if not future.cancel() or loop is None:
            return
        alive = threading.Event()
        loop.call_soon_threadsafe(alive.set)
        if not alive.wait(grace_seconds):
            self._loop = None
            if loop_thread is not None:
                self._leave_behind(loop_thread)

    def close(self) -> None:
        """Stop the loop; what still runs in it is dropped."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            try:
                self._loop_thread = self._started("handler-loop", _run_loop, loop)
            except RuntimeError:
                loop.close()
                raise
            self._loop = loop
        return self._loop

    def _leave_behind(self, thread: threading.Thread) -> None:
        with self._lock:
            self._left_behind.add(thread)

    def _started(self, name: str, target: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._no_more_threads = True
            raise
        return thread


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as exc:
        # Left alone, SystemExit would end the loop, and with it every other handler of the batch.
        raise HandlerStopped(f"the handler raised {type(exc).__name__}") from exc


def _call(future: "Future[Any]", function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function(*args)
    except Exception as exc:  # noqa: BLE001 - the future carries it to the worker
        future.set_exception(exc)
    except BaseException as exc:  # noqa: BLE001 - a handler must not end the worker
        future.set_exception(HandlerStopped(f"the handler raised {type(exc).__name__}"))
    else:
        future.set_result(result)
