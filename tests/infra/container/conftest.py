"""What the tests of the containers' roles share."""

from collections.abc import Iterator

import pytest

from tests.support.loggers import loggers_of_its_own


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """A role that begins in this process sets up the loggers."""
    with loggers_of_its_own():
        yield
