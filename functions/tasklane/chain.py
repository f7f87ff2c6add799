"""A worker whose task has ended takes the next one that waited for the same limit, without the way over a lane."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tasklane.claims import Claimed, Claims
from tasklane.ending import Ending
from tasklane.message import TaskMessage
from tasklane.run import Run
from tasklane.starter import REPORT_RESERVE_SECONDS

CHAIN_SECONDS: Final = 10.0
"""After this time in one batch the next in line go over their lanes: other tasks wait there for this process, too."""
CUT: Final = 0.02
"""By this part of its time limit the next in line may be cut short: one as long as an invocation never fits whole."""


class Chain:
    """The successors of one batch's runs."""

    def __init__(
        self,
        *,
        claims: Claims,
        ending: Ending,
        begin: Callable[[Sequence[Claimed]], list[Run]],
        remaining: Callable[[], float],
    ) -> None:
        self._claims = claims
        self._ending = ending
        self._begin = begin
        self._remaining = remaining
        self._until = time.monotonic() + CHAIN_SECONDS

    def at_free_slots(self, messages: Sequence[TaskMessage]) -> list[Run]:
        """Begin those who stand first in the lines of the limits of which these messages say that they have room."""
        called: dict[str, list[str]] = {}
        for message in messages:
            called.setdefault(message.free_slot or "", []).append(message.task_id)
        found = (self._claims.next_in_line(key, len(ids), math.inf, ids) for key, ids in sorted(called.items()))
        return [run for claimed in found for run in self._begin(claimed)]

    def after_joining(self, joined: Mapping[str, Sequence[str]]) -> list[Run]:
        """Look once after the lines that these tasks have just joined: their limit may have got room meanwhile."""
        return self._successors(Counter(joined.keys()), joined)

    def next_runs(self) -> list[Run]:
        """The runs that follow those whose outcomes have been written since this was asked before."""
        if not self._ending.freed:
            return []
        freed, self._ending.freed = self._ending.freed, []
        return self._successors(Counter(freed))

    def _successors(self, room: Counter[str], joined: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Run]:
        runs: list[Run] = []
        for key in sorted(room):
            if time.monotonic() < self._until:
                seconds = (self._remaining() - REPORT_RESERVE_SECONDS) / (1 - CUT)
                runs += self._begin(self._claims.next_in_line(key, room[key], seconds, joined.get(key, ())))
            else:
                self._claims.wake(key, room[key])
        return runs
