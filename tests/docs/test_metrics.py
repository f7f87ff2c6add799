"""The page for operators names every metric, and no other."""

import re

from tasklane.task import Status
from tests.docs.conftest import ROOT

COUNTED = re.compile(r'"([A-Z][a-z]+[A-Z][A-Za-z]+)":')
AFTER_A_RUN = {f"Tasks{status.capitalize()}" for status in Status} - {"TasksRunning", "TasksExpired"}


def test_every_metric_is_explained() -> None:
    entry_points = (ROOT / "functions").glob("*/entrypoint.py")
    emitted = {name for path in entry_points for name in COUNTED.findall(path.read_text())}

    [_, section] = (ROOT / "docs" / "operations.md").read_text().split("\n## Logs and metrics\n")
    rows = [line.split("|")[1] for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == emitted | AFTER_A_RUN
