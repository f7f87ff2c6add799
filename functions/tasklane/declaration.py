"""What is kept of a task type that was declared at run time: its work is done by external workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasklane.task import DEFAULT_PRIORITY


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """A task type without a handler, and the defaults of its tasks."""

    name: str
    priority: int = DEFAULT_PRIORITY
    timeout_seconds: int = 60
    """How long a lease lasts where the worker that asks for it does not say."""
    retry: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``RetryPolicy`` by name, numbers, lists of numbers and of names. Missing ones are as every type's."""
