"""What the tests of the installation share: the template as it stands and as SAM expands it, and an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra import template
from infra.local import engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.engine import Engine


@pytest.fixture(scope="session")
def raw_template() -> dict[str, Any]:
    return template.load()


@pytest.fixture(scope="session")
def expanded_template(raw_template: dict[str, Any]) -> dict[str, Any]:
    return template.expand(raw_template)


@pytest.fixture(scope="module")
def running_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine.running(port=engine.free_port(), scratch=tmp_path_factory.mktemp("engine")) as running:
        running.wait_until_ready()
        yield running
