"""A worker is killed before and after each of its steps. A file of its own, since it takes as long as all others."""

from collections.abc import Callable

import pytest

from tests.faults import crash_external, crash_limits, crash_worker
from tests.faults.crash_scenarios import Scenario, points, tried
from tests.faults.figures import Figures
from tests.faults.installation import Installation

WITH_SCENARIOS = (crash_external, crash_limits, crash_worker)


@pytest.mark.row("dies-worker")
@pytest.mark.parametrize(("scenario", "point"), points("worker"))
def test_a_worker_dies(
    make_installation: Callable[..., Installation],
    record: Callable[[Figures], None],
    scenario: Scenario,
    point: str,
) -> None:
    record(tried(make_installation, scenario, point))
