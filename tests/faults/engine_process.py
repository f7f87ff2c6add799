"""The engine's own process, as in the local run, but that its queues go by the tests' clock.

So a message's delay, and the time for which a received one is invisible, pass when the tests set the clock ahead.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from infra.local import engine_process
from tests.faults.clock import STILL_VARIABLE, VARIABLE, SharedClock, StillClock


class Shifted:
    """The module ``time``, with another present."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.time = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def main() -> None:
    from ministack.services import sqs

    if still := os.environ.get(STILL_VARIABLE):
        seconds = StillClock(path=Path(still)).seconds
    else:
        clock = SharedClock(path=Path(os.environ[VARIABLE]))
        seconds = lambda: clock.now() / 1000  # noqa: E731
    vars(sqs)["time"] = Shifted(seconds)
    engine_process.main()


MODULE: Final = __name__
if __name__ == "__main__":
    main()
