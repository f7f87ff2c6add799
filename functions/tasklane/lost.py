"""What becomes of a run that its worker does not end."""

import logging

from tasklane import transitions
from tasklane.errors import AttemptLost, public_details
from tasklane.outcome import what_follows
from tasklane.retry import Random, RetryPolicy, next_attempt_at
from tasklane.task import ErrorDetails, Task
from tasklane.timing import Timing

logger = logging.getLogger(__name__)


def after_loss(task: Task, policy: RetryPolicy, now: int, timing: Timing, random: Random) -> Task:
    """A running task whose lease has run out: the attempt failed or, where it was called off, the task is cancelled."""
    if task.cancel_requested:
        return transitions.cancelled(task, now, timing)
    error = AttemptLost(f"The worker of attempt {task.attempt} was lost: its lease ran out.")
    retry_at = next_attempt_at(task, policy, error, now, random)
    follows, extra = what_follows(task, retry_at)
    extra |= {"action": "attempt_lost", "task_id": task.id, "task_type": task.type, "attempt": task.attempt}
    logger.warning("An attempt was lost with its worker%s.", follows, extra=extra)
    return transitions.attempt_failed(task, ErrorDetails(**public_details(error)), now, timing, retry_at=retry_at)
