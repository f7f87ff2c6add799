"""``/v1/task-types``: what this installation can do."""

import logging
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.errors import NoSuchTaskType
from api.fields import MAX_NAME
from api.lease_schemas import DeclarationRequest
from api.openapi import problems as may_answer
from api.request import services_of
from api.views import TaskTypesView, TaskTypeView
from tasklane.declaration import Declaration
from tasklane.errors import UnknownTaskType
from tasklane.registry import TaskType
from tasklane.retry import ErrorType, RetryPolicy

logger = logging.getLogger("tasklane.api")

MAX_LIMIT: Final = 500
"""Declared task types of one answer."""

router = APIRouter(prefix="/v1/task-types", tags=["task types"], route_class=JsonRoute)

_DECLARING: Final = (
    problems.INVALID_JSON,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.TOO_LARGE,
    problems.INVALID_REQUEST,
    problems.TASK_TYPE_HAS_HANDLER,
    problems.UNAVAILABLE,
)


@router.get(
    "",
    response_model=TaskTypesView,
    summary="List the task types",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def list_task_types(
    request: Request,
    after: Annotated[
        str, Query(max_length=MAX_NAME, description="`next_after` of the page before: what was declared goes on there.")
    ] = "",
) -> Response:
    """Names, defaults and JSON Schemas: first the task types of the code, then those declared for external workers.

    Each part by name. The second one has up to 500 entries a page.
    """
    services = services_of(request)
    registered = services.registry.types
    declared = services.types.declared(after or None, MAX_LIMIT + 1)
    shown = [] if after else [registered[name] for name in sorted(registered)]
    shown += [one for one in declared[:MAX_LIMIT] if one.name not in registered]
    following = declared[MAX_LIMIT - 1].name if len(declared) > MAX_LIMIT else None
    return JSONResponse({"task_types": [_view(one) for one in shown], "next_after": following})


@router.get(
    "/{name:path}",
    response_model=TaskTypeView,
    summary="See a task type",
    responses=may_answer(problems.TASK_TYPE_NOT_FOUND, problems.UNAVAILABLE),
)
def get_task_type(request: Request, name: str) -> Response:
    """One task type."""
    return JSONResponse(_view(known_type(request, name)))


@router.post(
    "",
    response_model=TaskTypeView,
    summary="Declare a task type for external workers",
    response_description="The task type, as it is now.",
    responses=may_answer(*_DECLARING),
)
def declare_task_type(request: JsonRequest, body: DeclarationRequest) -> Response:
    """Accept tasks of a type that has no handler here; external workers fetch them. Declared again, it is changed.

    Other processes hear of a change within five seconds. Tasks that exist keep their priority and attempts.
    """
    policy = {} if body.retry is None else body.retry.model_dump(exclude_none=True)
    if body.max_attempts is not None:
        policy["max_attempts"] = body.max_attempts
    defaults = body.model_dump(include={"priority", "timeout_seconds"}, exclude_none=True)
    task_type = services_of(request).types.declare(Declaration(name=body.name, retry=policy, **defaults))
    logger.info("A task type was declared.", extra={"action": "declared", "task_type": body.name})
    return JSONResponse(_view(task_type))


def known_type(request: Request, name: str) -> TaskType:
    """The task type of that name. Raises NoSuchTaskType, Unavailable."""
    try:
        return services_of(request).types.find(name)
    except UnknownTaskType as exc:
        raise NoSuchTaskType("No task type has this name; /v1/task-types lists those there are.") from exc


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
        "retry_on": None if BaseException in policy.retry_on else [_name(one) for one in policy.retry_on],
        "no_retry_on": [_name(one) for one in policy.no_retry_on],
        "max_age_seconds": policy.max_age_seconds,
    }


def _name(error: ErrorType) -> str:
    return error if isinstance(error, str) else error.__name__


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
