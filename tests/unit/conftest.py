"""What the use cases' tests share: an installation in memory, with the task types that a test registers."""

from collections.abc import Iterator

import pytest

from tasklane.registry import Registry
from tests.support.installation import Installation, an_installation


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def home(registry: Registry) -> Iterator[Installation]:
    home = an_installation(registry=registry)
    yield home
    home.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks up all the time, so that no test has to wait for it."""
    monkeypatch.setattr("tasklane.watch.WATCH_SECONDS", 0.005)
    monkeypatch.setattr("tasklane.watch.NEWS_SECONDS", 0.0)
