"""What the tests of callbacks share: what receivers answer, and tasks that owe their callback."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from tasklane.errors import NonRetryable
from tasklane.ports import HttpResponse
from tasklane.registry import Registry
from tasklane.task import Task
from tests.support.installation import Installation, an_installation
from tests.support.payloads import Anything

URL = "https://hooks.example.com/done"


class Answers:
    """What the receiver says, one after the other; the last one for ever."""

    def __init__(self, *answers: HttpResponse | Exception) -> None:
        self.left = list(answers)

    def __call__(self, url: str) -> HttpResponse:
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def status(code: int, **headers: str) -> HttpResponse:
    return HttpResponse(status_code=code, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=b"")


OK = status(200)


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything) -> Any:
        return payload.model_extra

    @registry.task("fail")
    def fail(payload: Anything) -> None:
        raise NonRetryable("no such account")

    return registry


@pytest.fixture
def receiving(registry: Registry) -> Callable[..., Installation]:
    """An installation whose receiver gives these answers."""
    return lambda *answers: an_installation(registry=registry, answer=Answers(*answers))


def ended(home: Installation, kind: str = "echo", payload: dict[str, Any] | None = None) -> Task:
    """A task that has ended and owes its callback."""
    task = home.submit(kind, payload or {"a": 1}, callback_url=URL, labels={"order": "7"})
    home.work()
    home.close()
    return task


def callback(home: Installation, task: Task) -> Any:
    return home.task(task).callback


class NoSecrets:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def current(self, tenants: Collection[str]) -> dict[str, Any]:
        return dict.fromkeys(tenants, self._error)


def seconds_given(home: Installation) -> list[float]:
    """The seconds that each post gets from now on."""
    given: list[float] = []
    post = home.http.post

    def timed(url: str, body: bytes, headers: Any, timeout_seconds: float) -> HttpResponse:
        given.append(timeout_seconds)
        return post(url, body, headers, timeout_seconds)

    home.http.post = timed  # type: ignore[method-assign]
    return given
