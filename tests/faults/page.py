"""docs/reliability.md: made of the rows and of the figures that their tests counted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults.figures import Figures
from tests.faults.rows import ROWS, Row

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

HEAD: Final = """\
# Reliability

Made by `tests/faults` (`RELIABILITY=write make check`); do not edit. Every row is a test that breaks the running
system: real processes, real signals, requests broken on their way to the engine. The promises:

1. **Accepted means kept.** Once the API answered 2xx, the task reaches a final status, whichever process dies between
   whichever two steps, and whatever the queue or the table refuses meanwhile.
2. **A status never goes backwards.** Every transition is one conditional write; final is final.
3. **Effects at least once, outcomes exactly once.** Only the holder of the current attempt writes the outcome.
4. **A promised callback is delivered at least once, or is listed as undelivered.**
5. **Nothing is lost on bad input.** It is refused with a problem document, or ends as a failed task or a dead letter.
6. **Nobody gets in.** Outbound calls reach public addresses only. (API keys come with a later part; until then the
   deployed API takes only calls that are signed with the account's own credentials.)

*Tried* counts tasks (or messages, or requests, where these are what is tried). *Lost*: no final status, or a callback
neither delivered nor listed. *Doubled*: two outcomes, or a status that went backwards. *Time* is from the fault to the
last outcome by the installation's clock, which the tests set ahead, and the engine's queues with it. Where a process is
killed between two steps, the times are those of a deployed installation: a recovery window of three minutes, and a
sweep every minute. In all other rows the window is 2 s and the sweeper comes when something is due; handlers may take
30 s. The last rows are about time itself: of a delay, by how much it is missed.

| fault | promises | how it is broken | tried | lost | doubled | time |
| --- | --- | --- | ---: | ---: | ---: | --- |
"""


def page(figures: Mapping[str, Figures], old: str, tail: str) -> str:
    """docs/reliability.md; a row whose test did not run stays as it is in ``old``, if it is there.

    ``tail`` stands below the table.
    """
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in old.splitlines(keepends=True)}
    table = (_line(row, figures[name]) if name in figures else lines.get(row.fault, "") for name, row in ROWS.items())
    return HEAD + "".join(table) + tail


def _line(row: Row, figures: Figures) -> str:
    cells = (row.fault, row.promises, row.how, figures.tried, figures.lost, figures.doubled, figures.time)
    return f"| {' | '.join(map(str, cells))} |\n"
