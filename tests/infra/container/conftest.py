"""What the tests of the containers' roles share."""

from collections.abc import Iterator

import pytest

from tasklane import observability
from tests.support.loggers import loggers_of_its_own


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A role that begins in this process sets up loggers and metrics."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tasklane")
    observability.get_metrics.cache_clear()
    with loggers_of_its_own():
        yield
    observability.get_metrics.cache_clear()
