"""An installation in memory behind a real HTTP server that can be ended and started again, and a browser."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from api.app import create_app
from infra import http_server
from tasklane.context import TaskContext
from tasklane.errors import NonRetryable
from tasklane.ports import HttpResponse
from tasklane.registry import Registry
from tests.support import browser as browsers
from tests.support.builders import NOW
from tests.support.installation import Installation, an_installation
from tests.support.payloads import Anything
from tests.support.waiting import wait_for

HOST = "127.0.0.1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/dashboard/" in item.nodeid:
            item.add_marker(pytest.mark.apt)


class Served:
    """The API of an installation on a port."""

    def __init__(self, home: Installation, app: ASGIApp | None = None) -> None:
        self.home = home
        self._app = app or create_app(home.services)
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Listen; the second time on the same port."""
        listening = socket.create_server((HOST, self._port))
        self._port = listening.getsockname()[1]
        config = http_server.configured(lambda: self._app, ws="none", lifespan="off", log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        wait_for(lambda: self._server.started, "the server")
        self._listening = listening

    def stop(self) -> None:
        """End all connections, and refuse new ones."""
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()


def a_registry() -> Registry:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything) -> dict[str, Any] | None:
        return payload.model_extra

    @registry.task("fail")
    def fail(payload: Anything, context: TaskContext) -> None:
        context.progress(0.5, "half of it")
        raise NonRetryable("There is no such account.")

    @registry.task("wobble")
    def wobble(payload: Anything, context: TaskContext) -> str:
        if context.attempt == 1:
            raise ConnectionError("the line broke")
        return "done"

    return registry


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a file: while it runs, this thread has an event loop, which other tests must not find."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def home() -> Iterator[Installation]:
    home = an_installation(registry=a_registry(), answer=lambda _: HttpResponse(status_code=500, headers={}, body=b""))
    home.clock.advance(time.time() - NOW / 1000)
    yield home
    home.close()


@contextmanager
def serving(home: Installation, app: ASGIApp | None = None) -> Iterator[Served]:
    served = Served(home, app)
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture
def served(home: Installation) -> Iterator[Served]:
    with serving(home) as served:
        yield served


@pytest.fixture
def below(home: Installation) -> Iterator[Served]:
    """The same below a path, as a custom domain of API Gateway may have it."""
    with serving(home, Starlette(routes=[Mount("/jobs/prod", create_app(home.services))])) as served:
        yield served


@pytest.fixture
def dashboard(browser: Browser, served: Served) -> Iterator[Callable[..., browsers.Dashboard]]:
    """Opens windows; at the end of the test it is seen whether their pages did what they must not."""
    with ExitStack() as stack:

        def window(**options: Any) -> browsers.Dashboard:
            opened = browsers.Dashboard(browser, served.url, **options)
            stack.callback(opened.close)
            return opened

        yield window
