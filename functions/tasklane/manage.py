"""Use case: show tasks."""

from tasklane import document
from tasklane.errors import TaskNotFound
from tasklane.ports import BlobStore, Clock, TaskStore
from tasklane.task import Document, Task


class ReadTasks:
    """Reads tasks and their documents."""

    def __init__(self, *, store: TaskStore, blobs: BlobStore, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def __call__(self, task_id: str) -> Task:
        """The task. Raises TaskNotFound and Unavailable.

        A task whose retention has ended is not found either: the table removes it up to two days late.
        """
        task = self._store.get([task_id]).get(task_id)
        if task is None or (task.delete_at is not None and task.delete_at * 1000 <= self._clock.now()):
            raise TaskNotFound(task_id)
        return task

    def text(self, kept: Document) -> str:
        """A document's JSON text, wherever it is kept. Raises Unavailable."""
        return document.read_text(kept, self._blobs)
