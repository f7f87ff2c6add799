"""Pause and resume a lane or a task type."""

import logging
import time
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.body import JsonRoute
from api.openapi import problems as may_answer
from api.request import Lane, services_of
from api.routes.task_types import known_type
from api.views import PausedView, PausesView, ResumedView
from tasklane.line import lane_target, type_target
from tasklane.ports import Pause
from tasklane.timestamps import rfc3339

logger = logging.getLogger("tasklane.api")

RELEASE_SECONDS: Final = 10.0
"""How long a request lets waiting tasks go; the sweeper goes on with the rest."""

router = APIRouter(prefix="/v1", route_class=JsonRoute)

_PAUSE: Final[dict[str, Any]] = {
    "response_model": PausedView,
    "response_description": "Paused: within five seconds no task of it starts any more.",
}
_RESUME: Final[dict[str, Any]] = {
    "response_model": ResumedView,
    "response_description": "Resumed: its tasks are on their way to the workers, the first ones already.",
}


@router.get(
    "/pauses",
    tags=["lanes"],
    response_model=PausesView,
    summary="List what is paused",
    responses=may_answer(problems.UNAVAILABLE),
)
def list_pauses(request: Request) -> Response:
    """The lanes and task types that are paused, by target."""
    pauses = services_of(request).pause.pauses()
    return JSONResponse({"pauses": [_paused(pauses[target]) for target in sorted(pauses)]})


@router.post(
    "/lanes/{lane}/pause",
    tags=["lanes"],
    summary="Pause a lane",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
    **_PAUSE,
)
def pause_lane(request: Request, lane: Lane) -> Response:
    """Start no task of this lane any more. Those that run go on; those that wait keep their place.

    Tasks may be submitted all the same. A lane that is paused already stays as it is.
    """
    return _pause(request, lane_target(lane))


@router.post(
    "/lanes/{lane}/resume",
    tags=["lanes"],
    summary="Resume a lane",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
    **_RESUME,
)
def resume_lane(request: Request, lane: Lane) -> Response:
    """Let the tasks of this lane start again, in their order. A lane that is not paused stays as it is."""
    return _resume(request, lane_target(lane))


@router.post(
    "/task-types/{name:path}/pause",
    tags=["task types"],
    summary="Pause a task type",
    responses=may_answer(problems.TASK_TYPE_NOT_FOUND, problems.UNAVAILABLE),
    **_PAUSE,
)
def pause_task_type(request: Request, name: str) -> Response:
    """Start no task of this type any more, in whatever lane. Otherwise as with a lane."""
    return _pause(request, _checked_type(request, name))


@router.post(
    "/task-types/{name:path}/resume",
    tags=["task types"],
    summary="Resume a task type",
    responses=may_answer(problems.TASK_TYPE_NOT_FOUND, problems.UNAVAILABLE),
    **_RESUME,
)
def resume_task_type(request: Request, name: str) -> Response:
    """Let the tasks of this type start again, in their order. A type that is not paused stays as it is."""
    return _resume(request, _checked_type(request, name))


def _checked_type(request: Request, name: str) -> str:
    return type_target(known_type(request, name).name)


def _pause(request: Request, target: str) -> Response:
    pause = services_of(request).pause.pause(target)
    logger.warning("Tasks are paused.", extra={"action": "pause", "target": target})
    return JSONResponse(_paused(pause))


def _paused(pause: Pause) -> dict[str, str]:
    return {"target": pause.target, "paused_since": rfc3339(pause.since)}


def _resume(request: Request, target: str) -> Response:
    until = time.monotonic() + RELEASE_SECONDS
    resumed = services_of(request).pause.resume(target, lambda: time.monotonic() > until)
    extra = {"action": "resume", "target": target, "released": resumed.released}
    logger.warning("Tasks are resumed.", extra=extra)
    return JSONResponse({"target": target, "released": resumed.released, "more": resumed.more})
