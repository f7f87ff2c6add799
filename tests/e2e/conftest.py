"""One local run for all tests that only use it; those that end, edit or debug a run start their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.local_run import LocalRun, local_run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    with local_run(tmp_path_factory.mktemp("run")) as run:
        yield run


@pytest.fixture(scope="session")
def client(shared_run: LocalRun) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_run.url, timeout=30) as client:
        yield client
