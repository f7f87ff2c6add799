"""The list of what the engine does not do: what it strips is still in the template, what it says is whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra import template
from infra.local import gaps


def test_every_gap_says_what_and_how_it_is_handled() -> None:
    for gap in gaps.GAPS:
        assert gap.what.endswith(".")
        assert gap.handled.endswith(".") or gap.handled.endswith(")."), gap.handled
        if gap.strip is None and gap.fix is None:
            assert gap.handled.startswith(("Named here", "engine_process.py", "A run", "Its TMPDIR")), gap.handled


def test_stripping_leaves_everything_else_as_it_is(raw_template: dict[str, Any]) -> None:
    stripped = copy.deepcopy(raw_template)

    gaps.strip_all(stripped, template.parameters())

    gone = set(raw_template["Resources"]) - set(stripped["Resources"])
    changed = {name for name, resource in stripped["Resources"].items() if resource != raw_template["Resources"][name]}
    assert gone == {"DocumentsBucketPolicy"}
    assert changed == {"WorkerFunction", "CallbackFunction"}


@pytest.mark.parametrize(("reserved", "expected"), [("10", 10), ("0", None)])
def test_concurrency_is_written_as_numbers(raw_template: dict[str, Any], reserved: str, expected: int | None) -> None:
    stripped = copy.deepcopy(raw_template)

    gaps.strip_all(stripped, {"WorkerReservedConcurrency": reserved, "Lane3MaximumConcurrency": "7"})

    worker = stripped["Resources"]["WorkerFunction"]["Properties"]
    assert worker.get("ReservedConcurrentExecutions") == expected
    assert worker["Events"]["Lane3"]["Properties"]["ScalingConfig"] == {"MaximumConcurrency": 7}
    assert worker["Events"]["Lane5"]["Properties"]["ScalingConfig"] == {"MaximumConcurrency": 20}
