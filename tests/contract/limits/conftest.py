"""What the tests of limits share: a pair of stores, and how many may come to them at once."""

from typing import Final

import pytest

from tasklane.ports import ControlStore, TaskStore
from tasklane.throttle import Limit, Rate
from tests.contract.conftest import Adapter, AwsAdapter
from tests.support.builders import NOW
from tests.support.limits import set_limit

RATE: Final = Rate(count=10, period_ms=1000)


@pytest.fixture
def stores(adapter: Adapter) -> tuple[TaskStore, ControlStore]:
    return adapter.both_stores()


@pytest.fixture
def threads(adapter: Adapter) -> int:
    """How many come at once; moto's tables are not made for more than one."""
    return 1 if isinstance(adapter, AwsAdapter) and not adapter.batches else 6


@pytest.fixture
def store(stores: tuple[TaskStore, ControlStore]) -> TaskStore:
    return stores[0]


@pytest.fixture
def control(stores: tuple[TaskStore, ControlStore]) -> ControlStore:
    return stores[1]


def limited(control: ControlStore, key: str, most: int | None) -> None:
    set_limit(control, Limit(key=key, max_concurrent=most, since=NOW))
