"""``/health``, and the index at ``/``."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import problems
from api.openapi import problems as may_answer
from api.request import services_of
from api.views import HealthView
from tasklane import __version__

logger = logging.getLogger("tasklane.api")

router = APIRouter()


@router.get(
    "/health",
    tags=["health"],
    response_model=HealthView,
    response_model_exclude_none=True,
    summary="See whether it works",
    responses=may_answer(problems.INVALID_PARAMETER, problems.UNAVAILABLE),
)
async def health(
    request: Request,
    deep: Annotated[  # noqa: FBT002 - FastAPI passes it by name
        bool, Query(description="Also check the table and the queues; 503 if one does not answer.")
    ] = False,
) -> Response:
    """`{"status": "ok"}` while the API answers; with `deep=true`, while what is behind it does too."""
    services = services_of(request)
    view: dict[str, Any] = {"status": "ok", "version": __version__, "stage": services.settings.stage}
    if not deep:
        return JSONResponse(view)
    found = await run_in_threadpool(services.check)
    checks = {name: "ok" if state == "ok" else "unavailable" for name, state in found.items()}
    wrong = {name: state for name, state in found.items() if state != "ok"}
    if not wrong:
        return JSONResponse(view | {"checks": checks})
    # What is wrong names accounts and resources: it belongs in the log, not in a public answer.
    logger.error("The deep health check found something wrong.", extra={"action": "unhealthy", "wrong": wrong})
    detail = f"Not answering: {', '.join(wrong)}."
    return problems.problem(request, problems.UNAVAILABLE, detail, headers=problems.RETRY_AFTER, checks=checks)


@router.get("/", include_in_schema=False)
async def index() -> Response:
    """Where to go from here."""
    places = {"dashboard": "/dashboard", "docs": "/docs", "openapi": "/openapi.json", "health": "/health"}
    return JSONResponse({"name": "Tasklane", "version": __version__, **places})
