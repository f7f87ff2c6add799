"""What the stateful test's handlers do, call by call, and the task types that they are."""

import asyncio
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Final

from pydantic import BaseModel

from tasklane.context import TaskContext
from tasklane.errors import Continue, NonRetryable, RetryLater
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tests.faults.stateful_held import Held
from tests.faults.stateful_model import Model

PAD: Final = "x" * 5000
"""Makes a document too large for a record."""


class Job(BaseModel):
    """What a task's handler does: the first call takes the first of ``steps``, and so on; after that all goes well."""

    steps: list[str] = []
    pad: str = ""


ERRORS: Final[Mapping[str, Callable[[], BaseException]]] = {
    "fails": lambda: OSError("the disk is full"),
    "is hopeless": lambda: NonRetryable("no such file"),
    "asks for a pause": lambda: RetryLater("busy", 30),
    "asks for an hour": lambda: RetryLater("closed", 3600),
    "goes on": lambda: Continue({"page": 1}),
    "goes on in an hour": lambda: Continue({"page": 2, "pad": PAD}, after=3600),
    "leaves": SystemExit,
}
STEPS: Final = (*ERRORS, "keeps and fails", "listens", "returns nonsense", "returns much")


def act(step: str, held: Held | None, context: TaskContext) -> Any:
    """One call of a handler, when it has been let go on."""
    if held is not None and held.over:
        raise RuntimeError("its process is gone")
    if step in ERRORS:
        error = ERRORS[step]()
        raise error
    if step == "keeps and fails":
        context.checkpoint({"page": 3})
        raise OSError("the disk is full")
    if step == "listens":
        context.progress(0.5)
    result = {"run": context._run, "pad": PAD if step == "returns much" else ""}
    return object() if step == "returns nonsense" else result


def task_types(model: Model, held: Held | None = None) -> Registry:
    """A plain handler, an async one, and work for others."""
    registry = Registry()

    def begin(payload: Job, context: TaskContext) -> tuple[str, Event]:
        calls = model.begins(context.task_id, context._run)
        gate = Event() if held is None else held.enter(context.task_id, context._run)
        return payload.steps[calls] if calls < len(payload.steps) else "does well", gate

    @registry.task("plain", retry=RetryPolicy(base_seconds=8), max_continuations=2)
    def plain(payload: Job, context: TaskContext) -> Any:
        step, gate = begin(payload, context)
        if held is not None:
            gate.wait()
        return act(step, held, context)

    @registry.task("async", priority=5, retry=RetryPolicy.listed(0, 20, 2000), max_continuations=2)
    async def asynchronous(payload: Job, context: TaskContext) -> Any:
        step, gate = begin(payload, context)
        while held is not None and not gate.is_set():  # noqa: ASYNC110 - another thread opens the gate
            await asyncio.sleep(0.001)
        return act(step, held, context)

    registry.declare_external("external")
    return registry
