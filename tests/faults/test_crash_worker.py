"""A worker is killed between each two of its steps. A file of its own, since it takes as long as all others."""

import pytest

from tests.faults import crash_external, crash_limits, crash_worker
from tests.faults.crash_scenarios import Recovers, Scenario, points

WITH_SCENARIOS = (crash_external, crash_limits, crash_worker)


@pytest.mark.row("dies-worker")
@pytest.mark.parametrize(("scenario", "point"), points("worker"))
def test_a_worker_dies(recovers: Recovers, scenario: Scenario, point: str) -> None:
    recovers(scenario, point)
