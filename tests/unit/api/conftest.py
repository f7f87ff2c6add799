"""The API over the memory adapters, in process."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from api.app import create_app
from api.body import LARGE_AT_ONCE
from tasklane.adapters.memory import (
    ManualClock,
    MemoryBlobStore,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryHttp,
    MemoryQueueDepths,
    MemoryQueues,
    MemoryTaskQueue,
    MemoryTaskStore,
)
from tasklane.bootstrap import Services
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tests.support.installation import SETTINGS
from tests.support.payloads import Anything


class CountPayload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    n: int = Field(ge=0, le=100)


def a_registry() -> Registry:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything) -> dict[str, Any]:
        """Give it back."""
        return payload.model_dump()

    @registry.task("count", priority=2, timeout_seconds=30, retry=RetryPolicy(max_attempts=5))
    def count(payload: CountPayload) -> int:
        """Count."""
        return payload.n

    registry.declare_external("resize")
    return registry


class Client:
    """Calls the application on an event loop in another thread, so that requests of several threads overlap."""

    def __init__(self, application: Any, portal: BlockingPortal) -> None:
        transport = httpx.ASGITransport(application)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://tasklane.test")
        self._portal = portal

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._http.request(method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)


@dataclass(kw_only=True)
class Installation:
    """The API and what a worker beside it needs."""

    services: Services
    clock: ManualClock
    store: MemoryTaskStore
    queues: MemoryQueues
    dead_letters: MemoryQueues
    blobs: MemoryBlobStore
    application: FastAPI
    client: Client

    def submit(self, body: Any = None, **headers: str) -> httpx.Response:
        """POST a task; header names with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/tasks", json={"type": "echo"} if body is None else body, headers=named)

    def post(self, content: str | bytes, **headers: str) -> httpx.Response:
        """POST these very bytes."""
        return self.client.post(
            "/v1/tasks", content=content, headers={"content-type": "application/json"} | dict(headers)
        )

    def submitted(self, **body: Any) -> str:
        """The id of a new task."""
        response = self.submit({"type": "echo"} | body)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def work(self) -> None:
        """Let a worker run what is in the lanes."""
        for lane in range(5, 0, -1):
            deliveries = self.queues.receive(lane, 10, 0)
            if deliveries:
                self.services.execute([TaskMessage.from_json(one.body) for one in deliveries], lambda: 60.0)


_idle: list[FastAPI] = []


@contextmanager
def an_application(services: Services) -> Iterator[FastAPI]:
    """The application over ``services``; a used one if there is any.

    FastAPI prepares its routes at the first request, and that takes longer than most of these tests.
    """
    application = _idle.pop() if _idle else create_app(services)
    application.state.services = services
    application.state.large_bodies = asyncio.Semaphore(LARGE_AT_ONCE)
    try:
        yield application
    finally:
        _idle.append(application)


@contextmanager
def an_installation(registry: Registry | None = None, **ports: Any) -> Iterator[Installation]:
    """A running installation; ``ports`` replace those in memory."""
    clock = ManualClock()
    queues, dead_letters = MemoryQueues(clock), MemoryQueues(clock)
    control = MemoryControlStore()
    store, blobs = MemoryTaskStore(control), MemoryBlobStore()
    given: dict[str, Any] = {
        "store": store,
        "queue": MemoryTaskQueue(queues, clock),
        "callback_queue": MemoryCallbackQueue(queues, clock),
        "dead_letters": dead_letters,
        "depths": MemoryQueueDepths(queues, dead_letters),
        "blobs": blobs,
        "control": control,
        "clock": clock,
        "http": MemoryHttp(),
    }
    services = Services(SETTINGS, registry=registry or a_registry(), **(given | ports))
    with an_application(services) as application, start_blocking_portal() as portal:
        client = Client(application, portal)
        yield Installation(
            services=services,
            clock=clock,
            store=store,
            queues=queues,
            dead_letters=dead_letters,
            blobs=blobs,
            application=application,
            client=client,
        )


@pytest.fixture
def api() -> Iterator[Installation]:
    with an_installation() as installation:
        yield installation


def the_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem document, checked for what every one has."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["type"] == f"urn:tasklane:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return document
