"""Starts handlers: a plain one in a thread of its own, async ones together in one event loop.

Each call gives a future at once, so that the worker watches all of a batch and waits for none. A thread cannot be
stopped: one that overruns is left behind (daemon), and its context is closed. The loop runs in a thread too, so that a
handler that blocks it cannot keep the worker from reporting; it is kept between batches, so that handlers may keep
clients bound to it.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from tasklane.errors import AttemptFailed


class HandlerStopped(AttemptFailed):
    """The handler tried to end the process (SystemExit, KeyboardInterrupt) or was cancelled from inside."""


class Invoker:
    """Runs handlers. One per worker process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, function: Callable[..., Any], *args: Any, is_async: bool) -> "Future[Any]":
        """Begin ``function(*args)``. Whatever it raises, ``SystemExit`` too, ends up in the future as an Exception."""
        if is_async:
            return asyncio.run_coroutine_threadsafe(_guarded(function(*args)), self._running_loop())
        future: Future[Any] = Future()
        threading.Thread(target=_call, args=(future, function, args), name="handler", daemon=True).start()
        return future

    def abandon(self, future: "Future[Any]", grace_seconds: float = 1.0) -> None:
        """Give up on a call: an async handler is cancelled and has ``grace_seconds`` to clean up.

        A loop that does not react any more (a handler blocks it) is left behind, and the next call starts a new one.
        """
        loop = self._loop
        if not future.cancel() or loop is None:
            return
        alive = threading.Event()
        loop.call_soon_threadsafe(alive.set)
        if not alive.wait(grace_seconds):
            self._loop = None

    def close(self) -> None:
        """Stop the loop; what still runs in it is dropped."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_loop, args=(self._loop,), name="handler-loop", daemon=True).start()
        return self._loop


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
