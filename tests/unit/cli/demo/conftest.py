"""What the tests of the demonstration share: what is drawn, and a worker for it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.cli.demo import command, plan
from tests.unit.cli.conftest import Shell

URL = "http://tasklane.test"


class Worker:
    """Answers as the API does, and lets a worker run what waits whenever somebody looks at the list."""

    def __init__(self, shell: Shell, *, works: Callable[[], bool] = lambda: True) -> None:
        self._real = shell.transport
        self._shell = shell
        self._works = works
        self.lists: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path == "/v1/tasks":
            self.lists.append(str(request.url))
            if self._works():
                self._shell.api.clock.advance(0.5)
                self._shell.api.work()
        return self._real.handle_request(request)


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is drawn, of the types that the installation here has; a test may change it."""
    made: dict[str, Any] = {"echo": (1, lambda random: {"x": random.random()}), "count": (1, lambda _: {"n": 1})}
    monkeypatch.setattr(plan, "MAKERS", made)
    monkeypatch.setattr(command, "PAUSE_SECONDS", 0.0)
    return made
