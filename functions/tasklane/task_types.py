"""Which task types there are: those that code registers, and those that are declared for external workers meanwhile."""

from typing import Any, Final

from tasklane.declaration import Declaration
from tasklane.errors import HasHandler, Unavailable, UnknownTaskType
from tasklane.ports import Clock, ControlStore
from tasklane.registry import Registry, TaskType
from tasklane.retry import RetryPolicy
from tasklane.task import Task

REMEMBER_MS: Final = 5_000
"""How long what was read of a declaration is used."""
MAX_NAME: Final = 128
"""Characters of the longest name that can be declared."""
MAX_KNOWN: Final = 10_000
"""Declarations that are remembered at most."""
UNTIL_DONE: Final[dict[str, Any]] = {"max_attempts": 100, "pauses": [0]}
"""The policy of what was never declared: a task that is not done in time goes out again, at once."""


class TaskTypes:
    """One per process; what it says of a declaration is at most ``REMEMBER_MS`` old. Each method raises Unavailable.

    A name that has a handler means that handler. Only tasks that are external themselves are another matter: where they
    were submitted as such, the handler has no part in them.
    """

    def __init__(self, *, registry: Registry, control: ControlStore, clock: Clock) -> None:
        self._registry = registry
        self._control = control
        self._clock = clock
        self._known: dict[str, tuple[int, TaskType]] = {}

    def find(self, name: str) -> TaskType:
        """The task type of that name. Raises UnknownTaskType."""
        known = self._registry.types.get(name) or self._declared(name)
        if known is None:
            raise UnknownTaskType(name, sorted(self._registry.types))
        return known

    def for_external(self, name: str) -> TaskType:
        """The task type of that name as external workers know it; declared by this if it was not before."""
        registered = self._registry.types.get(name)
        if registered is not None and registered.handler is None:
            return registered
        unheard_of = Declaration(name=name, retry=UNTIL_DONE)
        if registered is not None:
            return task_type_of(unheard_of)
        return self._declared(name) or self._remember(self._control.declare(unheard_of, replace=False))

    def declare(self, declaration: Declaration) -> TaskType:
        """Declare a task type, or change what was declared; tasks that exist stay as they are. Raises HasHandler."""
        if declaration.name in self._registry.types:
            raise HasHandler(declaration.name)
        return self._remember(self._control.declare(declaration, replace=True))

    def declared(self, start: str | None, limit: int) -> list[TaskType]:
        """At most ``limit`` declared types in the order of their names, those after ``start``."""
        return [task_type_of(one) for one in self._control.declarations(start, limit)]

    def policy_of(self, task: Task) -> RetryPolicy:
        """The retry policy of the task's type."""
        registered = self._registry.types.get(task.type)
        if registered is not None and (registered.handler is None or not task.external):
            return registered.retry
        if not task.external:
            return RetryPolicy()
        declared = None if registered else self._declared(task.type)
        return (declared or task_type_of(Declaration(name=task.type, retry=UNTIL_DONE))).retry

    def _declared(self, name: str) -> TaskType | None:
        if not 0 < len(name) <= MAX_NAME:  # the table refuses such keys
            return None
        read_at, known = self._known.get(name, (None, None))
        if read_at is not None and 0 <= self._clock.now() - read_at < REMEMBER_MS:
            return known
        try:
            found = self._control.declaration(name)
        except Unavailable:
            if known is None:
                raise
            return known
        return None if found is None else self._remember(found)

    def _remember(self, declaration: Declaration) -> TaskType:
        if len(self._known) >= MAX_KNOWN:
            self._known = {}
        task_type = task_type_of(declaration)
        self._known[declaration.name] = (self._clock.now(), task_type)
        return task_type


def task_type_of(declaration: Declaration) -> TaskType:
    """The task type that was declared."""
    retry: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in declaration.retry.items()
    }
    return TaskType(
        name=declaration.name,
        priority=declaration.priority,
        timeout_seconds=declaration.timeout_seconds,
        retry=RetryPolicy(**retry),
    )
