"""``/v1/task-types``: what this installation can do."""

import logging
from functools import lru_cache
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.errors import NoSuchTaskType
from api.openapi import problems as may_answer
from api.request import services_of
from api.views import TaskTypesView, TaskTypeView
from tasklane.registry import TaskType
from tasklane.retry import RetryPolicy

logger = logging.getLogger("tasklane.api")

router = APIRouter(prefix="/v1/task-types", tags=["task types"])


@router.get("", response_model=TaskTypesView, summary="List the task types", responses=may_answer())
def list_task_types(request: Request) -> Response:
    """Names, defaults and JSON Schemas of all task types, by name."""
    types = services_of(request).registry.types
    return JSONResponse({"task_types": [_view(types[name]) for name in sorted(types)]})


@router.get(
    "/{name:path}",
    response_model=TaskTypeView,
    summary="See a task type",
    responses=may_answer(problems.TASK_TYPE_NOT_FOUND),
)
def get_task_type(request: Request, name: str) -> Response:
    """One task type."""
    task_type = services_of(request).registry.types.get(name)
    if task_type is None:
        raise NoSuchTaskType("No task type has this name; /v1/task-types lists those there are.")
    return JSONResponse(_view(task_type))


@lru_cache(maxsize=256)
def _view(task_type: TaskType) -> dict[str, Any]:
    return {
        "name": task_type.name,
        "description": task_type.description,
        "external": task_type.handler is None,
        "priority": task_type.priority,
        "timeout_seconds": task_type.timeout_seconds,
        "retry": _retry(task_type.retry),
        "max_continuations": task_type.max_continuations,
        "payload_schema": _schema(task_type, "validation"),
        "result_schema": _schema(task_type, "serialization"),
    }


def _retry(policy: RetryPolicy) -> dict[str, Any]:
    listed = bool(policy.pauses)
    return {
        "max_attempts": policy.max_attempts,
        "pauses": list(policy.pauses) if listed else None,
        "base_seconds": None if listed else policy.base_seconds,
        "cap_seconds": None if listed else policy.cap_seconds,
        "max_age_seconds": policy.max_age_seconds,
    }


def _schema(task_type: TaskType, mode: Literal["validation", "serialization"]) -> dict[str, Any] | None:
    """None where a handler uses a type that has no JSON Schema: its tasks run all the same."""
    try:
        adapter: TypeAdapter[Any] = task_type.payload_adapter if mode == "validation" else task_type.result_adapter
        return adapter.json_schema(mode=mode)
    except PydanticUserError as exc:
        logger.warning(
            "A type of a handler has no JSON Schema.",
            extra={"action": "no_schema", "task_type": task_type.name, "error": str(exc)},
        )
        return None
