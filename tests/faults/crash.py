"""Ports that take their process down at a named crash point: before or after one of its steps.

The product knows nothing of them: a process of the tests is given its ports in these wrappers.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tasklane.bootstrap import Services
from tests.faults.crash_steps import PORTS, step_at

VARIABLE: Final = "FAULTS_CRASH"
"""The environment variable that holds the crash point of a process."""
BEFORE: Final = "before"
AFTER: Final = "after"


def mortal(services: Services, folder: Path, point: str) -> Services:
    """The same services, which die at ``point`` and write its name to the file ``crashed`` in ``folder``."""
    fate = _Fate(folder=folder, point=point)
    wrapped = {name: _Mortal(name, partial(getattr, services, name), fate) for name in PORTS}
    return Services(services.settings, registry=services.registry, clock=services.clock, **wrapped)


@dataclass(frozen=True, kw_only=True)
class _Fate:
    folder: Path
    point: str
    last_breath: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, moment: str, step: str | None) -> None:
        """Die here, if this is the point. No handler of it runs, nothing is flushed, no connection closed in order."""
        if step is None:
            (self.folder / "unnamed").touch()
        if f"{moment} {step}" == self.point:
            self.last_breath.acquire()
            (self.folder / "crashed").write_text(self.point)
            os.kill(os.getpid(), signal.SIGKILL)


class _Mortal:
    """A port; the real one is made when it is first used, as in the product."""

    def __init__(self, name: str, make: Callable[[], Any], fate: _Fate) -> None:
        self._name = name
        self._make = make
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._make(), name)
        if name not in PORTS[self._name]:
            return found
        # Whose step it is: who names the method, whoever calls it then, and in whichever thread.
        here = step_at(sys._getframe(1), f"{self._name}.{name}")

        def step(*arguments: Any, **named: Any) -> Any:
            self._fate.meet(BEFORE, here)
            answer = found(*arguments, **named)
            self._fate.meet(AFTER, here)
            return answer

        return step
