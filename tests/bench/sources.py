"""What Amazon SQS fair queues do with messages of several tenants, over a queue that does not.

As the SQS Developer Guide says ("How Amazon SQS fair queues work"): a tenant is noisy while it has more than a tenth of
the messages in flight and thirty at least, or more than a tenth of the consumers' recent time. Who receives gets the
messages of quiet tenants first; without any, those of the noisy tenant with the fewest in flight. Nothing is held back
where nobody else waits.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tasklane.message import TaskMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasklane.ports import Delivery, MessageSource

SHARE: Final = 0.1
IN_FLIGHT: Final = 30
LOOK_SECONDS: Final = 0.005


@dataclass(kw_only=True, eq=False)
class _Waiting:
    number: int
    tenant: str
    delivery: Delivery


@dataclass(frozen=True, kw_only=True)
class _Flying:
    tenant: str
    since: float


class PlainSource:
    """A message source that hands out what ``upstream`` has in the order of that, and waits where that does not."""

    def __init__(self, upstream: MessageSource) -> None:
        self._upstream = upstream

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """See MessageSource."""
        until = time.monotonic() + wait_seconds
        while not (received := self._hand_out(lane, limit)) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        return received

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        self._upstream.acknowledge(lane, handles)

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        """See MessageSource."""
        return self._upstream.extend(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        self._upstream.release(lane, handles, delay_seconds)

    def _hand_out(self, lane: int, limit: int) -> list[Delivery]:
        return self._upstream.receive(lane, limit, 0)


class FairSource(PlainSource):
    """Hands out what ``upstream`` has in the order of a fair queue."""

    def __init__(self, upstream: MessageSource) -> None:
        super().__init__(upstream)
        self._waiting: dict[int, list[_Waiting]] = {}
        self._flying: dict[str, _Flying] = {}
        self._seconds: dict[str, float] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        self._land(handles)
        super().acknowledge(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        self._land(handles)
        super().release(lane, handles, delay_seconds)

    def _hand_out(self, lane: int, limit: int) -> list[Delivery]:
        with self._lock:
            waiting = self._waiting.setdefault(lane, [])
            while batch := self._upstream.receive(lane, 10, 0):
                waiting += [
                    _Waiting(number=next(self._numbers), tenant=TaskMessage.from_json(one.body).tenant, delivery=one)
                    for one in batch
                ]
            noisy = self._noisy()
            received: list[Delivery] = []
            while waiting and len(received) < limit:
                one = self._first(waiting, noisy)
                waiting.remove(one)
                self._flying[one.delivery.handle] = _Flying(tenant=one.tenant, since=time.monotonic())
                received.append(one.delivery)
            return received

    def _first(self, waiting: Sequence[_Waiting], noisy: frozenset[str]) -> _Waiting:
        flying = Counter(one.tenant for one in self._flying.values())
        return min(
            waiting, key=lambda one: (one.tenant in noisy, one.tenant in noisy and flying[one.tenant], one.number)
        )

    def _noisy(self) -> frozenset[str]:
        flying = Counter(one.tenant for one in self._flying.values())
        now = time.monotonic()
        seconds = self._seconds.copy()
        for one in self._flying.values():
            seconds[one.tenant] = seconds.get(one.tenant, 0.0) + now - one.since
        by_time = {tenant for tenant, spent in seconds.items() if spent > SHARE * sum(seconds.values())}
        by_number = {t for t, number in flying.items() if number >= IN_FLIGHT and number > SHARE * flying.total()}
        return frozenset(by_time | by_number)

    def _land(self, handles: Sequence[str]) -> None:
        with self._lock:
            for handle in handles:
                if flown := self._flying.pop(handle, None):
                    spent = time.monotonic() - flown.since
                    self._seconds[flown.tenant] = self._seconds.get(flown.tenant, 0.0) + spent
