"""What the tests of the installation share: the template as it stands and as SAM expands it."""

from __future__ import annotations

from typing import Any

import pytest

from infra import template


@pytest.fixture(scope="session")
def raw_template() -> dict[str, Any]:
    return template.load()


@pytest.fixture(scope="session")
def expanded_template(raw_template: dict[str, Any]) -> dict[str, Any]:
    return template.expand(raw_template)
