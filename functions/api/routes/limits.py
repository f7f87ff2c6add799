"""``/v1/limits``: how many tasks of a key run at once, and how fast they start."""

import logging
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.body import JsonRequest, JsonRoute
from api.errors import InvalidCursor
from api.fields import ThrottleKey
from api.openapi import problems as may_answer
from api.request import services_of
from api.schemas import LimitRequest, RateRequest
from api.views import LimitsView, LimitView
from tasklane.throttle import MAX_KEY, LimitState, Rate

logger = logging.getLogger("tasklane.api")

MAX_LIMIT: Final = 100
RELEASE_SECONDS: Final = 10.0
"""How long a request lets waiting tasks go; the sweeper goes on with the rest."""

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=JsonRoute)

Key = Annotated[ThrottleKey, Path(description="The key, as tasks name it in `throttle_keys`.")]


@router.get(
    "",
    response_model=LimitsView,
    summary="List the limits",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def list_limits(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")] = 50,
    cursor: Annotated[str, Query(max_length=MAX_KEY, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """Limits in the order of their keys, and how many running tasks count towards each."""
    if not cursor.isprintable():
        raise InvalidCursor("The cursor is not one that this API gave.")
    states = services_of(request).limits.list(limit + 1, cursor or None)
    following = states[limit - 1].limit.key if len(states) > limit else None
    return JSONResponse({"limits": [_view(state) for state in states[:limit]], "next_cursor": following})


@router.get(
    "/{key:path}",
    response_model=LimitView,
    summary="See a limit",
    responses=may_answer(problems.INVALID_PARAMETER, problems.LIMIT_NOT_FOUND, problems.UNAVAILABLE),
)
def get_limit(request: Request, key: Key) -> Response:
    """One limit."""
    return JSONResponse(_view(services_of(request).limits.get(key)))


@router.put(
    "/{key:path}",
    response_model=LimitView,
    summary="Set a limit",
    response_description="Set; workers hear of it within five seconds.",
    responses=may_answer(
        problems.INVALID_JSON,
        problems.INVALID_PARAMETER,
        problems.TOO_LARGE,
        problems.UNSUPPORTED_MEDIA_TYPE,
        problems.INVALID_REQUEST,
        problems.UNAVAILABLE,
    ),
)
def put_limit(request: JsonRequest, key: Key, body: LimitRequest) -> Response:
    """Limit the tasks that name this key: how many run at once, how fast they start, or both.

    Tasks over the limit wait, first come, first served within a priority; that costs them no attempt. What runs already
    goes on. The limit replaces the one that there was.
    """
    until = time.monotonic() + RELEASE_SECONDS
    state = services_of(request).limits.put(
        key, max_concurrent=body.max_concurrent, rate=_rate(body.rate), enough=lambda: time.monotonic() > until
    )
    logger.warning("A limit was set.", extra={"action": "limit_set", "key": key, "limit": _view(state)})
    return JSONResponse(_view(state))


@router.delete(
    "/{key:path}",
    status_code=204,
    response_model=None,
    summary="Remove a limit",
    response_description="There is no limit of this key (any more).",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
def delete_limit(request: Request, key: Key) -> Response:
    """Limit this key no longer, and let go who waits for it. A key without a limit stays so."""
    until = time.monotonic() + RELEASE_SECONDS
    services_of(request).limits.remove(key, lambda: time.monotonic() > until)
    logger.warning("A limit was removed.", extra={"action": "limit_removed", "key": key})
    return Response(status_code=204)


def _rate(asked: RateRequest | None) -> Rate | None:
    if asked is None:
        return None
    return Rate(count=asked.count, period_ms=round(asked.period_seconds * 1000), burst=asked.burst)


def _view(state: LimitState) -> dict[str, Any]:
    rate = state.limit.rate
    return {
        "key": state.limit.key,
        "max_concurrent": state.limit.max_concurrent,
        "rate": rate and {"count": rate.count, "period_seconds": rate.period_ms / 1000, "burst": rate.burst},
        "in_use": state.in_use,
    }
