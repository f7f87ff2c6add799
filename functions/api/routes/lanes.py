"""``/v1/lanes``: how full the lanes are, and what to do about what they gave up."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.openapi import problems as may_answer
from api.request import Lane, services_of
from api.views import CallbackRedriveView, LaneRedriveView, LanesView, LaneView
from tasklane.line import lane_target
from tasklane.ports import Depth, Pause
from tasklane.redrive import CALLBACKS, RedriveReport
from tasklane.task import HIGHEST_PRIORITY, LOWEST_PRIORITY
from tasklane.timestamps import rfc3339

LANES: Final = tuple(range(HIGHEST_PRIORITY, LOWEST_PRIORITY - 1, -1))
REDRIVE_SECONDS: Final = 20.0
"""How long a redrive goes on with the next batch; API Gateway gives up after 30."""

router = APIRouter(prefix="/v1")

Limit = Annotated[
    int, Query(ge=1, le=10_000, description="At most so many dead letters; those that are no messages do not count.")
]


@router.get(
    "/lanes",
    tags=["lanes"],
    response_model=LanesView,
    summary="List the lanes",
    responses=may_answer(problems.UNAVAILABLE),
)
def list_lanes(request: Request) -> Response:
    """The lanes, the highest priority first, and the callback queue, each with about how many messages it holds.

    A task may have more than one message, or none for the moment: the figures tell of queues, not of tasks.
    """
    services = services_of(request)
    *lanes, callbacks = services.depths.depths([*LANES, CALLBACKS])
    pauses = services.pause.pauses()
    content = {
        "lanes": [_lane(number, depth, pauses) for number, depth in zip(LANES, lanes, strict=True)],
        "callbacks": _depth(callbacks),
    }
    return JSONResponse(content)


@router.get(
    "/lanes/{lane}",
    tags=["lanes"],
    response_model=LaneView,
    summary="See a lane",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def get_lane(request: Request, lane: Lane) -> Response:
    """One lane, with about how many messages it holds."""
    services = services_of(request)
    (depth,) = services.depths.depths([lane])
    return JSONResponse(_lane(lane, depth, services.pause.pauses()))


@router.post(
    "/lanes/{lane}/redrive",
    tags=["lanes"],
    response_model=LaneRedriveView,
    summary="Redrive a lane's dead letters",
    response_description="What became of the dead letters.",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def redrive_lane(
    request: Request,
    lane: Lane,
    limit: Limit = 1000,
    failed: Annotated[
        Literal["leave", "retry"],
        Query(
            description="What to do about a failed task whose last run a dead letter announced: leave it as it is, or "
            "let it begin again, as `POST /v1/tasks/{id}/retry` does."
        ),
    ] = "leave",
) -> Response:
    """Send the tasks again whose messages the lane gave up, and remove the messages that nothing follows from.

    The task's record decides, not the message: one that waits is sent as if for the first time; one that runs or is
    final is left alone. What is no message of Tasklane's stays where it is and is counted. Works for 20 seconds at
    most: call again while `more` is true. Safe to repeat, and to call twice at once.
    """
    report = services_of(request).redrive.lane(
        lane, limit=limit, remaining=seconds_from_now(REDRIVE_SECONDS), reopen=failed == "retry"
    )
    counts = {"sent": report.sent, "reopened": report.reopened}
    return JSONResponse({"lane": lane, **counts, **redrive_view(report)})


@router.post(
    "/callbacks/redrive",
    tags=["callbacks"],
    response_model=CallbackRedriveView,
    summary="Redrive dead callbacks",
    response_description="What became of the dead letters.",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def redrive_callbacks(request: Request, limit: Limit = 1000) -> Response:
    """Send the callbacks again whose messages the callback queue gave up, as the redrive of a lane does for tasks.

    A callback that waits for its next try is sent as if for the first time, and no try is forgotten; one that was
    delivered, or given up, is left alone.
    """
    report = services_of(request).redrive.callbacks(limit=limit, remaining=seconds_from_now(REDRIVE_SECONDS))
    return JSONResponse(redrive_view(report))


def seconds_from_now(seconds: float) -> Callable[[], float]:
    """Tells how much of this time is left."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def redrive_view(report: RedriveReport) -> dict[str, Any]:
    """What both redrives answer."""
    return {
        "sent": report.sent,
        "removed": dict(report.removed),
        "poison": report.poison,
        "unanswered": report.unanswered,
        "more": report.more,
    }


def _lane(number: int, depth: Depth, pauses: Mapping[str, Pause]) -> dict[str, Any]:
    pause = pauses.get(lane_target(number))
    return {"lane": number, "paused_since": pause and rfc3339(pause.since), **_depth(depth)}


def _depth(depth: Depth) -> dict[str, int]:
    return {
        "waiting": depth.waiting,
        "delayed": depth.delayed,
        "in_flight": depth.in_flight,
        "dead_letters": depth.dead_letters,
    }
