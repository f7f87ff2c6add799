"""What routes read from a request beside its parameters."""

from typing import Annotated, Final

from fastapi import Path
from starlette.requests import Request

from tasklane.bootstrap import Services
from tasklane.errors import TaskNotFound
from tasklane.task import HIGHEST_PRIORITY, LOWEST_PRIORITY

Lane = Annotated[int, Path(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="1 to 5: the lane of that priority.")]
"""A lane in an address."""
MAX_ID: Final = 128
"""Characters; no task's id is longer, and a table's key must not be much longer."""


def services_of(request: Request) -> Services:
    """The use cases that the application was made with."""
    services: Services = request.app.state.services
    return services


def caller_of(request: Request, tenant: str) -> str:
    """Who asks, as far as idempotency keys go. Until callers have API keys, a tenant is one caller."""
    del request  # will carry the key
    return tenant


def checked_id(task_id: str) -> str:
    """The id, if there could be a task of it: a table refuses empty and over-long keys. Raises TaskNotFound."""
    if len(task_id) > MAX_ID or not (task_id.isascii() and task_id.isprintable()):
        raise TaskNotFound(task_id)
    return task_id
