"""A run: one claimed task whose handler is at work in this process."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasklane.context import TaskContext
from tasklane.registry import TaskType
from tasklane.task import Document, Task

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(kw_only=True, slots=True, eq=False)
class Run:
    """A handler at work, and what its worker knows of it."""

    task: Task
    """The record as this worker last wrote or saw it."""
    task_type: TaskType
    context: TaskContext
    future: "Future[Any]"
    """What the handler will return, as JSON, or raise."""
    seconds: float
    """How long the handler may take."""
    deadline: float
    """When its time is up, on the monotonic clock."""
    renewed: float = field(default_factory=time.monotonic)
    """When its record was last written, on the monotonic clock."""
    looked: float = field(default_factory=time.monotonic)
    """When its record was last read, or its claim answered, on the monotonic clock."""

    keeping: "Future[Document | None] | None" = None
    """The result, or the state, on its way to the bucket; None: it is not that large, or not there yet."""
    timed_out: bool = False
    """Its time was up before its handler ended."""

    def last_words(self) -> Task:
        """The record with what its handler has said since: progress, checkpoint, and that something is kept for it."""
        state = self.context.last_state()
        large = state is not None and state.blob_key is not None
        return self.task.evolve(
            progress=self.context.last_progress(),
            state=state,
            has_blobs=self.task.has_blobs or self.context.has_kept_files or large,
        )

    @property
    def overdue(self) -> bool:
        """True where its time is up."""
        return self.deadline <= time.monotonic()
