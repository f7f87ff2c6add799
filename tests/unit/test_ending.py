"""A handler has done its work: what became of it is written for as long as there is time, and nobody waits for that."""

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from tasklane.adapters.memory import MemoryTaskStore
from tasklane.document import INLINE_LIMIT
from tasklane.errors import Continue, Unavailable
from tasklane.execute import BatchReport
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.save import LAST_TRY_SECONDS
from tasklane.task import Status, Task
from tests.support.builders import a_change, a_message, a_task
from tests.support.installation import Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for

LARGE = "x" * (INLINE_LIMIT + 1)
MANY = 50
"""More tries than the pauses between them are listed for."""
FOR_EVER = 10**9


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks up all the time and pauses for no time between two tries."""
    monkeypatch.setattr("tasklane.save.PAUSES", (0.0, 0.001))
    monkeypatch.setattr("tasklane.watch.WATCH_SECONDS", 0.005)
    monkeypatch.setattr("tasklane.watch.HEARTBEAT_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def handlers(registry: Registry) -> None:
    registry.task("small")(lambda_of("done"))
    registry.task("large")(lambda_of(LARGE))


def lambda_of(value: str) -> Callable[[Nothing], str]:
    def give(payload: Nothing) -> str:
        return value

    return give


def kept(home: Installation, kind: str, count: int = 1) -> list[Task]:
    tasks = [a_task(type=kind) for _ in range(count)]
    home.store.put(tasks)
    return tasks


def execute(home: Installation, tasks: list[Task], remaining: Callable[[], float] = lambda: 900.0) -> BatchReport:
    return home.services.execute([a_message(task) for task in tasks], remaining)


def time_for(home: Installation, tasks: Sequence[Task], tries: int) -> Callable[[], float]:
    """An invocation that is at its end when so many writes of all these tasks together were tried."""

    def remaining() -> float:
        tried = [changes for changes in home.store.saved if len(changes) == len(tasks)]
        return 900.0 if len(tried) < tries else LAST_TRY_SECONDS

    return remaining


# -- the table is away -------------------------------------------------------------------------------------------------


def test_an_outcome_is_tried_for_as_long_as_there_is_time(home: Installation, caplog: pytest.LogCaptureFixture) -> None:
    tasks = kept(home, "small", 3)
    home.store.refuse("save", MANY)

    report = execute(home, tasks)

    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}
    assert (len(report.outcomes), report.unwritten) == (3, 0)
    assert len(home.store.saved) == MANY + 1
    assert [one.__dict__["action"] for one in caplog.records if one.levelno >= logging.WARNING] == ["save_waits"]


def test_an_outcome_is_written_after_the_lease_has_run_out_where_nobody_took_the_task(home: Installation) -> None:
    (task,) = kept(home, "small")
    home.store.refuse("save", MANY)

    def remaining() -> float:
        home.clock.advance(10)
        return 900.0

    report = execute(home, [task], remaining)

    lease_until = home.store.saved[0][0].before.lease_until
    assert lease_until is not None
    assert home.clock.now() > lease_until
    assert (home.task(task).status, home.task(task).run) == (Status.COMPLETED, 1)
    assert len(report.outcomes) == 1


def test_whoever_took_the_task_meanwhile_keeps_it(home: Installation) -> None:
    (task,) = kept(home, "small")
    home.store.refuse("save", MANY)

    def remaining() -> float:
        if len(home.store.saved) == MANY // 2:
            MemoryTaskStore.save(home.store, [a_change(home.task(task), status=Status.PENDING)])
        return 900.0

    report = execute(home, [task], remaining)

    assert home.task(task).status is Status.PENDING
    assert (report.outcomes, report.unwritten, home.queues.depth(3)) == ((), 1, 0)


def test_without_time_it_is_left_to_the_sweeper_and_counts_as_unwritten(
    home: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = kept(home, "small", 2)
    home.store.refuse("save", FOR_EVER)

    report = execute(home, tasks, time_for(home, tasks, 20))

    assert {home.task(task).status for task in tasks} == {Status.RUNNING}
    assert (report.outcomes, report.unwritten, report.unhandled) == ((), 2, frozenset())
    given_up = caplog.records[-1]
    assert (given_up.levelno, given_up.__dict__["action"]) == (logging.ERROR, "save_failed")
    assert set(given_up.__dict__["task_ids"]) == {task.id for task in tasks}


def test_while_an_outcome_waits_the_others_are_renewed_and_end(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = a_task(type="small"), a_task(type="late")
    home.store.put([early, late])
    save = home.store.save
    refused: list[str] = []

    def refuse_the_early_one(changes: Sequence[Change]) -> list[bool | Unavailable]:
        mine = [change.before.id == early.id and len(refused) < MANY for change in changes]
        refused.extend(early.id for refuse in mine if refuse)
        return [Unavailable("throttled") if no else save([one])[0] for no, one in zip(mine, changes, strict=True)]

    @registry.task("late")
    def patient(payload: Nothing) -> int:
        wait_for(lambda: len(refused) >= MANY // 2)
        return wait_for(lambda: len(home.store.renewed))

    monkeypatch.setattr(home.store, "save", refuse_the_early_one)
    report = execute(home, [early, late])

    assert {home.task(task).status for task in (early, late)} == {Status.COMPLETED}
    assert len(report.outcomes) == 2
    assert {change.before.id for renewal in home.store.renewed for change in renewal} == {late.id}


# -- the bucket is away ------------------------------------------------------------------------------------------------


def test_a_large_result_is_tried_for_as_long_as_there_is_time(home: Installation) -> None:
    (task,) = kept(home, "large")
    home.blobs.refuse = MANY

    execute(home, [task])

    assert (home.task(task).status, home.task(task).run, home.result(task)) == (Status.COMPLETED, 1, LARGE)


def test_a_bucket_that_does_not_answer_holds_nobody_up_and_the_lease_is_kept(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours, (task,) = kept(home, "small", 3), kept(home, "large")
    put = home.blobs.put

    def slow(key: str, content: bytes) -> None:
        wait_for(lambda: all(home.task(one).status is Status.COMPLETED for one in neighbours))
        lease = home.task(task).lease_until
        home.clock.advance(30)
        wait_for(lambda: home.task(task).lease_until != lease)
        put(key, content)

    monkeypatch.setattr(home.blobs, "put", slow)
    report = execute(home, [task, *neighbours])

    assert len(report.outcomes) == 4
    assert home.result(task) == LARGE


def test_a_task_that_is_lost_while_its_result_is_on_its_way_has_no_outcome(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = kept(home, "large")
    over = threading.Event()

    def never(*_: object) -> None:
        home.store.save([a_change(home.task(task), status=Status.CANCELLED)])
        over.wait(20)

    monkeypatch.setattr(home.blobs, "put", never)
    report = execute(home, [task])
    over.set()

    assert home.task(task).status is Status.CANCELLED
    assert (report.outcomes, report.unwritten) == ((), 1)


def test_a_result_that_is_not_kept_when_time_is_up_fails_the_attempt(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = kept(home, "large")
    asked, over = threading.Event(), threading.Event()

    def silent(*_: object) -> None:
        asked.set()
        over.wait(20)

    monkeypatch.setattr(home.blobs, "put", silent)
    execute(home, [task], lambda: 1.0 if asked.is_set() else 900.0)
    over.set()

    ended = home.task(task)
    assert (ended.status, ended.result) == (Status.SCHEDULED, None)
    assert ended.error is not None
    assert ended.error.type == "Unavailable"


def test_a_large_state_waits_for_the_bucket_as_well(home: Installation, registry: Registry) -> None:
    @registry.task("goes-on")
    def goes_on(payload: Nothing) -> None:
        raise Continue({"page": LARGE})

    (task,) = kept(home, "goes-on")
    home.blobs.refuse = MANY

    execute(home, [task])

    waiting = home.task(task)
    assert (waiting.status, waiting.continuations, waiting.attempts) == (Status.PENDING, 1, ())
    assert waiting.state is not None
    assert waiting.state.blob_key is not None
