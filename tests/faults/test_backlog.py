"""Tasks wait for hours because nobody works: the sweeper must not fill the lanes with them again and again."""

import bisect
import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

from tasklane.errors import Unavailable
from tasklane.message import TaskMessage
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import RECOVERY_SECONDS, Installation
from tests.faults.processes import workers
from tests.support import installation as in_memory
from tests.support.installation import an_installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for

TASKS: Final = 20_000
HOURS: Final = 6
SEED: Final = 20261122


def most_sends(seconds: float, recovery_seconds: float) -> int:
    """How often a task may have been sent again after that time: the pause before each further send doubles."""
    return int(math.log2(seconds / recovery_seconds + 1))


# -- in memory, at its full size ---------------------------------------------------------------------------------------


class ByDueTime(dict[str, Task]):
    """The tasks of a memory store with an index of what is due, for tens of thousands of them."""

    def __init__(self, shard_of: Callable[[str], str]) -> None:
        super().__init__()
        self._shard_of = shard_of
        self._due: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)

    def __setitem__(self, task_id: str, task: Task) -> None:
        index = self._due[self._shard_of(task_id)]
        before = self.get(task_id)
        if before is not None and before.due_at is not None:
            del index[bisect.bisect_left(index, (before.due_at, task_id))]
        if task.due_at is not None:
            bisect.insort(index, (task.due_at, task_id))
        super().__setitem__(task_id, task)

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        return [task_id for due_at, task_id in self._due[shard][:limit] if due_at <= until]


class Waiting(in_memory.UnreliableLanes):
    """Lanes that nobody receives from."""

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        self.sent += messages
        return [None] * len(messages)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[in_memory.Installation]:
    monkeypatch.setattr(in_memory, "UnreliableLanes", Waiting)
    registry = Registry()

    @registry.task("it")
    async def it(payload: Nothing) -> None: ...

    home = an_installation(registry=registry)
    tasks = ByDueTime(home.store._shard)
    monkeypatch.setattr(home.store, "_tasks", tasks)
    monkeypatch.setattr(home.store, "due", tasks.due)
    logging.disable(logging.CRITICAL)
    yield home
    logging.disable(logging.NOTSET)
    home.close()


def sends_while_nobody_works(home: in_memory.Installation, minutes: int) -> Iterator[tuple[int, int]]:
    """Sweep every minute; the minute and how many messages the sweep sent."""
    for minute in range(1, minutes + 1):
        home.clock.advance(60)
        report = home.sweep()
        assert report.complete
        home.store.saved.clear()
        yield minute, report.sent


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("backlog")
def test_a_long_backlog_is_sent_again_ever_more_rarely_and_each_task_runs_once(
    home: in_memory.Installation, record: Callable[[Figures], None]
) -> None:
    tasks = [home.submit("it") for _ in range(TASKS)]
    assert len(home.lanes.sent) == TASKS
    recovery = home.services.settings.recovery_seconds

    sent = dict(sends_while_nobody_works(home, HOURS * 60))

    again = Counter(message.task_id for message in home.lanes.sent)
    again.subtract(task.id for task in tasks)
    bound = most_sends(HOURS * 3600, recovery)
    assert set(again.values()) == {bound} == {6}
    assert {minute for minute, count in sent.items() if count} == {
        math.ceil(recovery * (2**n - 1) / 60) for n in range(1, bound + 1)
    }

    messages = random.Random(SEED).sample(home.lanes.sent, len(home.lanes.sent))
    outcomes, refused = Counter[str](), 0
    for start in range(0, len(messages), 10):
        report = home.services.execute(messages[start : start + 10], lambda: 900.0)
        outcomes.update(outcome.task.id for outcome in report.outcomes)
        refused += report.refused
        home.store.claimed.clear()
        home.store.saved.clear()

    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}
    # A doubled message inside a batch is not even tried.
    assert TASKS * bound - TASKS // 10 < refused <= TASKS * bound
    lost, doubled = TASKS - len(outcomes), sum(count - 1 for count in outcomes.values())
    record(Figures(tried=TASKS, lost=lost, doubled=doubled))


# -- on the engine -----------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.row("backlog-engine")
def test_what_was_sent_again_and_again_runs_once(installation: Installation, record: Callable[[Figures], None]) -> None:
    services, sweeps = installation.services(), 24
    tasks = installation.submit(services, numbers=range(100))
    begun_at = installation.clock.now()
    for step in range(1, sweeps + 1):
        installation.clock.advance_to(begun_at + step * RECOVERY_SECONDS * 1000)
        assert services.sweep(lambda: 60.0).complete

    waited = (installation.clock.now() - begun_at) / 1000
    depth = installation.depth(installation.lane())
    assert len(tasks) < depth <= len(tasks) * (1 + most_sends(waited, RECOVERY_SECONDS))
    with workers(installation, 2) as (one, other):
        wait_for(lambda: installation.depth(installation.lane()) == 0, seconds=60)
        refused = one.log.count("claim_refused") + other.log.count("claim_refused")

    ended = installation.tasks(tasks)
    assert {(task.status, task.run) for task in ended} == {(Status.COMPLETED, 1)}
    assert len(installation.world.effects()) == len(tasks)
    assert refused
    record(figures(installation, tasks))
