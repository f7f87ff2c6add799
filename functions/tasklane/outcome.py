"""What becomes of a task when its handler has ended, one way or another."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

from tasklane import document, transitions
from tasklane.errors import (
    AttemptTimedOut,
    Continue,
    DocumentTooLarge,
    InvalidResult,
    TasklaneError,
    TooManyContinuations,
    Unavailable,
    public_details,
)
from tasklane.invoke import HandlerStopped
from tasklane.ports import BlobStore, Clock
from tasklane.retry import MAX_PAUSE_SECONDS, Random, next_attempt_at
from tasklane.run import Run
from tasklane.save import patiently, pauses_while
from tasklane.task import Document, ErrorDetails, Task
from tasklane.timestamps import rfc3339
from tasklane.timing import Timing

logger = logging.getLogger(__name__)

_BELOW_HANDLERS = frozenset({"tasklane", "concurrent", "asyncio"})
_Kept = TypeVar("_Kept", bound=Document | None)


class NotKeptYet(Exception):
    """The bucket has not taken the result yet: ask again when ``Run.keeping`` is done."""


class Outcomes:
    """Turns ended runs into the records that are to be written."""

    def __init__(self, *, blobs: BlobStore, clock: Clock, timing: Timing, random: Random) -> None:
        self._blobs = blobs
        self._clock = clock
        self._timing = timing
        self._random = random

    def after(self, run: Run, remaining: Callable[[], float], *, last: bool = False) -> Task:
        """The task of ``run`` as it is to be; ``remaining`` tells the seconds this process still has.

        Raises nothing but NotKeptYet, and that not the ``last`` time: then what is not kept yet fails the attempt.
        """
        now = self._clock.now()
        run.context.close()
        keep = _Keeper(run, remaining, last=last)
        try:
            result = self._result(run, self._returned(run), keep)
        except NotKeptYet:
            raise
        except Continue as wish:
            return self._continued(run, wish, now, keep)
        except Exception as exc:  # noqa: BLE001 - whatever a handler raises is the outcome of its attempt
            return self._failed(run, exc, now)
        task = run.last_words()
        extra = {"action": "task_completed", "duration_ms": now - (task.started_at or now), **_ids(task)}
        logger.info("A task was completed.", extra=extra)
        return transitions.completed(task, result, now, self._timing)

    def _returned(self, run: Run) -> bytes:
        if run.timed_out:
            raise AttemptTimedOut(f"The attempt was still running after {run.seconds:g} seconds.")
        try:
            returned: bytes = run.future.result(timeout=0)
        except CancelledError as exc:
            raise HandlerStopped("the handler was cancelled") from exc
        return returned

    def _result(self, run: Run, returned: bytes, keep: "_Keeper") -> Document:
        text = returned.decode()
        key = f"{document.blob_prefix(run.task.id, run.task.created_at)}result-{run.task.run}"
        try:
            return keep(text, lambda: document.pack(text, key, self._blobs))
        except DocumentTooLarge as exc:
            raise InvalidResult(exc.detail) from exc

    def _continued(self, run: Run, wish: Continue, now: int, keep: "_Keeper") -> Task:
        limit = run.task_type.max_continuations
        if run.context.cancelled:
            return self._failed(run, wish, now)
        if run.task.continuations >= limit:
            return self._failed(run, TooManyContinuations(f"The handler went on more than {limit} times."), now)
        try:
            state = run.context.last_state()
            if wish.state is not None:
                state = keep(document.to_text(wish.state), lambda: run.context.pack_state(wish.state))
            at = now + int(min(max(float(wish.after), 0.0), float(MAX_PAUSE_SECONDS)) * 1000)
        except NotKeptYet:
            raise
        except Exception as exc:  # noqa: BLE001 - a state or a time that makes no sense is the handler's error
            return self._failed(run, exc, now)
        task = run.last_words()
        logger.info("A task goes on in a new run.", extra={"action": "task_continued", **_ids(task)})
        return transitions.continued(task, state, at, now, self._timing)

    def _failed(self, run: Run, error: Exception, now: int) -> Task:
        task = run.last_words()
        if run.context.cancelled:
            logger.info("A running task was cancelled.", extra={"action": "task_cancelled", **_ids(task)})
            return transitions.cancelled(task, now, self._timing)
        try:
            retry_at = next_attempt_at(task, run.task_type.retry, error, now, self._random)
        except Exception:  # a policy, or an error, that cannot be asked must not cost the batch its outcomes
            logger.exception("A retry policy could not be followed.", extra={"action": "policy_failed", **_ids(task)})
            retry_at = None
        follows, extra = what_follows(task, retry_at)
        extra |= {"action": "attempt_failed", **_ids(task)}
        logger.warning("An attempt failed%s.", follows, extra=extra, exc_info=_as_the_handler_sees_it(error))
        details = ErrorDetails(**public_details(error))
        return transitions.attempt_failed(task, details, now, self._timing, retry_at=retry_at)


def what_follows(task: Task, retry_at: int | None) -> tuple[str, dict[str, Any]]:
    """What the log says after "An attempt failed": the rest of the sentence, and its keys."""
    left = {"attempts_left": max(0, task.max_attempts - task.attempt)}
    if retry_at is None:
        return ", and with it the task", left
    return "; another one follows", {"next_attempt_at": rfc3339(retry_at), **left}


def _as_the_handler_sees_it(error: Exception) -> tuple[type[Exception], Exception, TracebackType | None]:
    """The error without the worker's own frames, which are the same in every log line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _BELOW_HANDLERS:
        trace = trace.tb_next
    if trace is None and not isinstance(error, TasklaneError):
        trace = error.__traceback__
    return type(error), error, trace


class _Keeper:
    """Keeps what a handler left behind: the large in a thread of its own, so that the others' leases are renewed."""

    def __init__(self, run: Run, remaining: Callable[[], float], *, last: bool) -> None:
        self._run = run
        self._remaining = remaining
        self._last = last

    def __call__(self, text: str, pack: Callable[[], _Kept]) -> _Kept:
        """What ``pack`` gives or raises for ``text``; NotKeptYet as long as the bucket does not answer it."""
        if not document.is_large(text):
            return pack()
        if self._run.keeping is None:
            self._run.keeping = Future()
            # The handler has done its work: a bucket that is away must not make it do it again.
            work = partial(patiently, pack, pauses_while(self._remaining))
            thread = threading.Thread(target=_fulfil, args=(self._run.keeping, work), name="keeper", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started any more: then it is done here, with less patience
                _fulfil(self._run.keeping, partial(patiently, pack))
        if self._run.keeping.done():
            return cast("_Kept", self._run.keeping.result())
        if self._last:
            raise Unavailable("the bucket did not take what the handler returned in time")
        raise NotKeptYet


def _fulfil(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - the future carries it to the worker
        future.set_exception(exc)


def _ids(task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "task_type": task.type, "attempt": task.attempt}
