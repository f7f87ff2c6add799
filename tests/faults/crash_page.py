"""The part of docs/reliability.md that names the crash points."""

from typing import Final

from tests.faults import crash_api, crash_external, crash_limits, crash_order, crash_others, crash_worker
from tests.faults.crash_scenarios import MINUTES, SCENARIOS
from tests.faults.crash_trial import MINUTE_MS

WITH_SCENARIOS: Final = (crash_api, crash_external, crash_limits, crash_order, crash_others, crash_worker)
HEAD: Final = """
## Crash points

What a process leaves behind when it dies is what its calls of ports (table, queues, bucket, receivers) have done. So a
step is such a call; each process is killed before each of its steps, and after each that does more than read, and the
others recover what it was at. The steps are read from the sources, and one that no test reaches is a failing test.
Nothing of this is in the product: the tests give a process ports that take it down.

| process | recovered within | steps |
| --- | --- | --- |
"""


def crash_points() -> str:
    """Each process, its promised time, and its steps."""
    return HEAD + "".join(_line(process) for process in MINUTES)


def _line(process: str) -> str:
    mine = [scenario for scenario in SCENARIOS if scenario.process == process]
    steps = dict.fromkeys(scenario.step for scenario in mine)
    longest = max(scenario.within_ms for scenario in mine) // MINUTE_MS
    within = f"{longest} minutes" if longest else "–"
    return f"| {process} | {within} | {', '.join(f'`{step}`' for step in steps)} |\n"
