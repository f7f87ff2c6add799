"""The engine's own process, as in the local run, but that its queues go by the tests' clock.

So a message's delay, and the time for which a received one is invisible, pass when the tests set the clock ahead.
"""

import os
import time
from pathlib import Path
from typing import Any, Final

from infra.local import engine_process
from tests.faults.clock import VARIABLE, SharedClock


class Shifted:
    """The module ``time``, with another present."""

    def __init__(self, clock: SharedClock) -> None:
        self._clock = clock

    def time(self) -> float:
        return self._clock.now() / 1000

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def main() -> None:
    from ministack.services import sqs

    vars(sqs)["time"] = Shifted(SharedClock(path=Path(os.environ[VARIABLE])))
    engine_process.main()


MODULE: Final = __name__
if __name__ == "__main__":
    main()
