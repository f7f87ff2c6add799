"""The application: ``create_app`` is what uvicorn (as a factory) and the Lambda entry point call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from api import contracts, openapi, webhooks
from api.body import LARGE_AT_ONCE
from api.dashboard import pages
from api.edge import Edge
from api.problems import add_handlers
from api.routes import callbacks, changes, documents, health, lanes, leases, limits, lists, pauses, task_types, tasks
from tasklane import __version__
from tasklane.bootstrap import Services


def create_app(services: Services | None = None) -> FastAPI:
    """The API over ``services``; without them, over what the environment names."""
    app = openapi.Api(
        title="Tasklane",
        version=__version__,
        summary="A task API on API Gateway, Lambda, SQS and DynamoDB.",
        description=openapi.DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[*openapi.TAGS, *contracts.TAGS],
        redirect_slashes=False,  # a redirected POST loses its body in many clients
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services or Services()
    app.state.large_bodies = asyncio.Semaphore(LARGE_AT_ONCE)
    app.state.contract_views = contracts.VIEWS
    app.state.not_safe = contracts.NOT_SAFE
    app.add_middleware(Edge, not_safe=contracts.NOT_SAFE)
    add_handlers(app)
    # The types' own addresses end in any name, so that what comes after such a name is looked for first.
    for routes in (tasks, lists, changes, callbacks, documents, leases, lanes, pauses, limits, task_types, health):
        app.include_router(routes.router)
    for router in contracts.ROUTERS:
        app.include_router(router)
    app.include_router(pages.router)
    webhooks.describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Under a server, build everything before the first request.

    Clients are slow to make, and two threads must not make one at once. A Lambda has no lifespan: its first request
    builds them, alone.
    """
    services: Services = app.state.services
    await run_in_threadpool(lambda: (services.submit, services.read, services.manage))
    yield
