"""What the rules of template.yaml are about: its resources as SAM expands them, and what refers to what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from infra import template

if TYPE_CHECKING:
    from collections.abc import Iterator


Resources = dict[str, dict[str, Any]]

QUEUES = [*(f"Lane{lane}Queue" for lane in range(1, 6)), "CallbackQueue"]
FUNCTIONS = ["ApiFunction", "WorkerFunction", "CallbackFunction", "SweeperFunction", "CleanerFunction"]


@pytest.fixture(scope="module")
def resources(expanded_template: dict[str, Any]) -> Resources:
    found: Resources = expanded_template["Resources"]
    return found


def of_type(resources: Resources, *types: str) -> Resources:
    return {name: resource for name, resource in resources.items() if resource["Type"] in types}


def target_of(reference: Any) -> str:
    """The logical id in a Ref or GetAtt."""
    return str(reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                text, names = inner if isinstance(inner, list) else (inner, {})
                yield from (name for name in re.findall(r"\$\{([A-Za-z0-9:]+)", text) if name not in names)
                yield from references(names)
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def chosen_parameters(raw_template: dict[str, Any], environment: str) -> dict[str, str]:
    defaults = {name: str(declared["Default"]) for name, declared in raw_template["Parameters"].items()}
    return defaults if environment == "defaults" else defaults | template.parameters(environment)
