"""What a handler author writes: ``@task("name")`` on a function, plain or async.

The first parameter is the payload, a pydantic model; a second one, where there is one, is the ``TaskContext``. The
return annotation is the result's type. Import heavy libraries inside the function: the API reads the registry as well.
"""

import importlib
import inspect
import json
import math
import pkgutil
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tasklane.errors import ConfigurationError, InvalidPayload, InvalidResult, UnknownTaskType
from tasklane.retry import RetryPolicy, named_policy
from tasklane.task import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY

DEFAULT_TIMEOUT_SECONDS = 60
DEFAULT_CONTINUATIONS = 100
MAX_TIMEOUT_SECONDS = 900
"""As long as a Lambda may run."""
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

ANY_DOCUMENT: Any = dict[str, Any] | list[Any]
"""What an external worker may be given."""
MAX_LISTED = 1000
"""Errors of a payload beyond which none is listed: pydantic lists all or none, at about a kilobyte each."""

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class TaskType:
    """A name, its handler, and the defaults of its tasks. ``handler`` None: external workers do the work."""

    name: str
    handler: Callable[..., Any] | None = None
    payload_type: Any = ANY_DOCUMENT
    result_type: Any = Any
    priority: int = DEFAULT_PRIORITY
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPolicy = RetryPolicy()
    wants_context: bool = False
    throttle_keys: tuple[str, ...] = ()
    """Whose limits hold for its tasks; ``{payload.account}`` in such a text stands for that field, null for no key."""
    max_continuations: int = DEFAULT_CONTINUATIONS
    """How often a handler may raise Continue; what bounds a task that feeds itself."""

    @property
    def description(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0] if self.handler else "Done by external workers."

    @property
    def is_async(self) -> bool:
        """True where the handler is a coroutine function."""
        return inspect.iscoroutinefunction(self.handler)

    @cached_property
    def payload_adapter(self) -> TypeAdapter[Any]:
        """Checks payloads and knows their JSON Schema."""
        return TypeAdapter(self.payload_type)

    @cached_property
    def result_adapter(self) -> TypeAdapter[Any]:
        """Writes results as JSON and knows their JSON Schema."""
        return TypeAdapter(self.result_type)

    def parse_payload(self, text: str) -> Any:
        """The payload, given as JSON, as the handler wants it. Raises InvalidPayload, one issue per wrong field."""
        try:
            return self.payload_adapter.validate_json(text)
        except ValidationError as exc:
            raise InvalidPayload(
                f"The payload does not fit task type {self.name!r}.", _issues(exc, prefix="/payload")
            ) from exc

    def dump_result(self, value: Any) -> bytes:
        """The handler's return value as JSON (UTF-8). Raises InvalidResult."""
        try:
            checked = self.result_adapter.validate_python(value)
            plain = self.result_adapter.dump_python(checked, mode="json", warnings="error")
            text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            if "null" in text:
                _require_finite(self.result_adapter.dump_python(checked))
            return text.encode()
        except (ValueError, TypeError, RecursionError) as exc:  # pydantic's errors are ValueErrors
            raise InvalidResult(f"The result of {self.name!r} cannot be kept as JSON: {exc}") from exc


class Registry:
    """The task types of an installation, by name."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType] = {}

    @property
    def types(self) -> Mapping[str, TaskType]:
        """All of them; a read-only view."""
        return MappingProxyType(self._types)

    def task(
        self,
        name: str,
        *,
        priority: int = DEFAULT_PRIORITY,
        timeout_seconds: int | None = None,
        retry: RetryPolicy | str | None = None,
        max_continuations: int = DEFAULT_CONTINUATIONS,
        throttle_keys: Sequence[str] = (),
    ) -> Callable[[_Handler], _Handler]:
        """Make the decorated function the handler of task type ``name``; it stays callable as it is.

        ``timeout_seconds`` bounds one attempt (at most 900); None: as the policy says. ``retry`` is a policy or the
        name of one (``retry.NAMED``). ``throttle_keys`` are texts in which ``{payload.account}`` stands for that field:
        limits that are set for the resulting keys hold for the task; where the field is null, no key is made of it.
        Raises ConfigurationError for a name that is taken or unknown, a timeout or priority out of range, keys that are
        none, or a function without an annotated payload.
        """
        _require_name(name)
        policy: object = named_policy(retry) if isinstance(retry, str) else retry or RetryPolicy()
        if not isinstance(policy, RetryPolicy):
            raise ConfigurationError(f"retry of {name!r} is a RetryPolicy or the name of one, not {policy!r}")
        timeouts = (timeout_seconds, policy.timeout_seconds, DEFAULT_TIMEOUT_SECONDS)

        def register(handler: _Handler) -> _Handler:
            payload_type, result_type, wants_context = _signature(name, handler)
            self.add(
                TaskType(
                    name=name,
                    handler=handler,
                    payload_type=payload_type,
                    result_type=result_type,
                    priority=priority,
                    timeout_seconds=next(given for given in timeouts if given is not None),
                    retry=policy,
                    wants_context=wants_context,
                    max_continuations=max_continuations,
                    throttle_keys=_templates(name, throttle_keys),
                )
            )
            return handler

        return register

    def declare_external(self, name: str, **defaults: Any) -> TaskType:
        """Accept tasks of type ``name`` though no handler here runs them: external workers fetch them."""
        return self.add(TaskType(name=name, **defaults))

    def add(self, task_type: TaskType) -> TaskType:
        """Register a task type. Raises ConfigurationError."""
        if task_type.name in self._types:
            raise ConfigurationError(f"task type {task_type.name!r} is registered twice")
        if not _is_from(1, MAX_TIMEOUT_SECONDS, task_type.timeout_seconds):
            raise ConfigurationError(f"timeout_seconds of {task_type.name!r} is not from 1 to {MAX_TIMEOUT_SECONDS}")
        if not _is_from(LOWEST_PRIORITY, HIGHEST_PRIORITY, task_type.priority):
            raise ConfigurationError(f"there is no lane for the priority of {task_type.name!r}: {task_type.priority}")
        self._types[task_type.name] = task_type
        return task_type

    def find(self, name: str) -> TaskType:
        """The task type of that name. Raises UnknownTaskType."""
        try:
            return self._types[name]
        except KeyError:
            raise UnknownTaskType(name, sorted(self._types)) from None


default_registry = Registry()
"""Where the ``task`` decorator of this module puts handlers."""

task = default_registry.task


def load_handlers(package: str = "handlers", registry: Registry = default_registry) -> Registry:
    """Import every module of ``package``, so that its decorators register their handlers."""
    found: ModuleType = importlib.import_module(package)
    for module in sorted(info.name for info in pkgutil.iter_modules(found.__path__)):
        importlib.import_module(f"{package}.{module}")
    return registry


def _signature(name: str, handler: Callable[..., Any]) -> tuple[Any, Any, bool]:
    try:
        hints = typing.get_type_hints(handler)
    except (NameError, TypeError) as exc:
        raise ConfigurationError(f"the annotations of {name!r} cannot be read: {exc}") from exc
    parameters = list(inspect.signature(handler).parameters.values())
    positional = all(one.kind in _POSITIONAL for one in parameters)
    if not positional or not 1 <= len(parameters) <= 2 or parameters[0].name not in hints:
        raise ConfigurationError(f"the handler of {name!r} must take an annotated payload and, if it likes, a context")
    payload_type = hints[parameters[0].name]
    if not (isinstance(payload_type, type) and issubclass(payload_type, BaseModel)):
        raise ConfigurationError(f"the payload of {name!r} must be a pydantic model")
    return payload_type, hints.get("return", Any), len(parameters) == 2


def _require_name(name: object) -> None:
    if callable(name):  # @task without parentheses would swallow the function
        raise ConfigurationError('@task wants the name of the task type: @task("name")')
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"the name of a task type is a text, not {name!r}")


def _templates(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    given: Sequence[object] = [texts] if isinstance(texts, str) else texts
    if isinstance(texts, str) or not all(isinstance(text, str) and text for text in given):
        raise ConfigurationError(f"throttle_keys of {name!r} are texts such as 'account:{{payload.account}}'")
    try:
        fields = [field for text in texts for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError as exc:
        raise ConfigurationError(f"throttle_keys of {name!r}: {exc}") from exc
    if not all(re.fullmatch(r"payload([.\[].+)?", field) for field in fields):
        raise ConfigurationError(
            f"throttle_keys of {name!r} are made of the payload's fields, such as {{payload.account}}"
        )
    return tuple(texts)


def _is_from(least: int, most: int, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _require_finite(value: Any) -> None:
    """Raises ValueError for NaN and infinities: where a type is not declared, pydantic writes them as null."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and the infinities are not JSON")
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        for part in parts:
            _require_finite(part)


def _issues(error: ValidationError, prefix: str) -> list[dict[str, str]]:
    if (count := error.error_count()) > MAX_LISTED:
        return [{"pointer": prefix, "detail": f"{count} places are wrong, too many to list."}]
    return [
        {"pointer": "/".join([prefix, *(_escape(str(part)) for part in item["loc"])]), "detail": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]


def _escape(part: str) -> str:
    return part.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")
