"""Use case: when a task is gone, so is what the blob store kept for it."""

import logging
from collections.abc import Sequence

from tasklane.document import blob_prefix
from tasklane.errors import Unavailable
from tasklane.ports import BlobStore

logger = logging.getLogger(__name__)


class RemoveDocuments:
    """Removes the documents and files of tasks that no longer exist."""

    def __init__(self, *, blobs: BlobStore) -> None:
        self._blobs = blobs

    def __call__(self, gone: Sequence[tuple[str, int]]) -> frozenset[int]:
        """Remove what is kept for tasks, given by id and ``created_at``; the positions of those to be tried again.

        Repeating it does no harm.
        """
        left = set()
        for position, (task_id, created_at) in enumerate(gone):
            try:
                self._blobs.delete_all(blob_prefix(task_id, created_at))
            except Unavailable as exc:
                extra = {"action": "cleanup_failed", "task_id": task_id, "error": str(exc)}
                logger.warning("A task's documents could not be removed.", extra=extra)
                left.add(position)
        return frozenset(left)
