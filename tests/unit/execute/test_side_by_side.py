"""None of a batch's tasks waits for another, and none spoils another's outcome."""

import asyncio
import threading

import pytest
from pydantic import BaseModel, field_serializer

from tasklane.context import TaskContext
from tasklane.errors import AttemptLost
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.support.builders import a_change, a_message, a_task, an_attempt, an_error
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.support.waiting import wait_for
from tests.unit.execute.conftest import PATIENCE, execute, kept

# -- side by side ------------------------------------------------------------------------------------------------------


def test_async_handlers_of_a_batch_overlap(home: Installation, registry: Registry) -> None:
    together = asyncio.Barrier(4)

    @registry.task("meet")
    async def meet(payload: Anything) -> str:
        async with asyncio.timeout(PATIENCE), together:
            return "met"

    tasks = kept(home, 4, type="meet")

    execute(home, [a_message(task) for task in tasks])

    assert [home.result(task) for task in tasks] == ["met"] * 4


def test_plain_handlers_of_a_batch_run_in_threads(home: Installation, registry: Registry) -> None:
    together = threading.Barrier(4)

    @registry.task("meet")
    def meet(payload: Anything) -> int:
        together.wait(PATIENCE)
        return threading.get_ident()

    tasks = kept(home, 4, type="meet")

    execute(home, [a_message(task) for task in tasks])

    assert len({home.result(task) for task in tasks}) == 4


def test_plain_and_async_handlers_wait_for_each_other_in_one_batch(home: Installation, registry: Registry) -> None:
    plain_came, async_came = threading.Event(), threading.Event()

    @registry.task("plain")
    def plain(payload: Anything) -> bool:
        plain_came.set()
        return async_came.wait(PATIENCE)

    @registry.task("async")
    async def cooperative(payload: Anything) -> bool:
        async_came.set()
        return await asyncio.to_thread(plain_came.wait, PATIENCE)

    tasks = [*kept(home, 1, type="plain"), *kept(home, 1, type="async")]

    execute(home, [a_message(task) for task in tasks])

    assert [home.result(task) for task in tasks] == [True, True]


def test_an_outcome_is_written_while_others_still_run(home: Installation, registry: Registry) -> None:
    quick_one, slow_one = a_task(type="quick"), a_task(type="slow")
    home.store.put([quick_one, slow_one])

    @registry.task("slow")
    def slow(payload: Anything) -> bool:
        return wait_for(lambda: home.task(quick_one).status is Status.COMPLETED)

    execute(home, [a_message(slow_one), a_message(quick_one)])

    assert home.result(slow_one) is True


def test_handlers_keep_their_event_loop_from_batch_to_batch(home: Installation, registry: Registry) -> None:
    loops = []

    @registry.task("loop")
    async def loop(payload: Anything) -> None:
        loops.append(asyncio.get_running_loop())

    for _ in range(2):
        execute(home, [a_message(task) for task in kept(home, 2, type="loop")])

    assert len(set(loops)) == 1


def test_one_bad_task_leaves_its_neighbours_alone(home: Installation, registry: Registry) -> None:
    @registry.task("bad")
    def bad(payload: Anything) -> None:
        raise SystemExit(1)

    tasks = [*kept(home, 2), *kept(home, 1, type="bad", max_attempts=1), *kept(home, 1, type="unknown", max_attempts=1)]

    report = execute(home, [a_message(task) for task in tasks])

    assert [home.task(task).status.value for task in tasks] == ["completed", "completed", "failed", "failed"]
    assert (report.unhandled, len(report.outcomes)) == (frozenset(), 4)


def test_a_task_whose_last_worker_was_lost_runs_alone(home: Installation, registry: Registry) -> None:
    neighbours = kept(home, 2)
    lost = a_task(type="alone", run=1, attempts=(an_attempt(error=an_error("", AttemptLost.__name__)),))
    home.store.put([lost])

    @registry.task("alone")
    def alone(payload: Anything) -> list[str]:
        return [home.task(task).status.value for task in neighbours]

    messages = [a_message(lost), *(a_message(task) for task in neighbours)]
    report = execute(home, messages)

    assert messages[0].lost == 1
    assert home.result(lost) == ["completed", "completed"]
    assert len(report.outcomes) == 3


def a_lost_one(home: Installation, timeout_seconds: int) -> Task:
    attempt = an_attempt(error=an_error("", AttemptLost.__name__))
    (task,) = kept(home, 1, run=1, attempts=(attempt,), timeout_seconds=timeout_seconds)
    return task


def test_a_task_that_must_run_alone_and_has_no_time_left_is_sent_on(home: Installation) -> None:
    (neighbour,) = kept(home, 1)
    lost = a_lost_one(home, timeout_seconds=40)
    left = iter([100.0, 100.0])  # the neighbour takes the rest

    home.services.execute([a_message(lost), a_message(neighbour)], lambda: next(left, 10.0))

    assert home.task(neighbour).status is Status.COMPLETED
    assert home.task(lost) == lost
    assert [message.task_id for message in home.lanes.sent] == [lost.id]


def test_a_task_that_must_run_alone_and_needs_most_of_the_time_goes_first(home: Installation) -> None:
    """On a busy lane every batch has neighbours: its turn would never come if it waited for them."""
    (neighbour,) = kept(home, 1)
    lost = a_lost_one(home, timeout_seconds=900)

    report = home.services.execute([a_message(neighbour), a_message(lost)], lambda: 899.0)

    assert home.task(lost).status is Status.COMPLETED
    assert home.task(neighbour) == neighbour
    assert [message.task_id for message in home.lanes.sent] == [neighbour.id]
    assert report.unhandled == frozenset()


# -- outcomes that are refused -----------------------------------------------------------------------------------------


def test_an_outcome_that_is_refused_at_first_is_written_all_the_same(home: Installation) -> None:
    (task,) = kept(home, 1)
    home.store.refuse("save")

    execute(home, [a_message(task)])

    assert home.task(task).status is Status.COMPLETED


def test_an_outcome_of_a_run_that_was_lost_is_dropped(home: Installation, registry: Registry) -> None:
    (task,) = kept(home, 1, type="late")

    @registry.task("late")
    def late(payload: Anything, context: TaskContext) -> str:
        home.store.save([a_change(home.task(task), status=Status.PENDING)])
        return "too late"

    report = execute(home, [a_message(task)])

    assert home.task(task).status is Status.PENDING
    assert home.task(task).result is None
    assert report.unhandled == frozenset()
    assert home.queues.depth(0) == 0


def test_a_retry_that_cannot_be_sent_is_left_to_the_sweeper(home: Installation, registry: Registry) -> None:
    @registry.task("bad")
    def bad(payload: Anything) -> None:
        raise OSError("not now")

    (task,) = kept(home, 1, type="bad")
    home.lanes.refuse = 1
    execute(home, [a_message(task)])
    assert home.lanes.sent == []

    home.clock.advance(200)
    home.sweep()

    assert [message.run for message in home.lanes.sent] == [2]


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_result_that_is_never_made_json_holds_nobody_up_and_times_out(
    home: Installation, registry: Registry, kind: str
) -> None:
    over = threading.Event()

    class Slow(BaseModel):
        @field_serializer("n", check_fields=False)
        def wait(self, n: int) -> int:
            over.wait(PATIENCE)
            return n

        n: int = 1

    def plain(payload: Anything) -> Slow:
        return Slow()

    async def waiting(payload: Anything) -> Slow:
        return Slow()

    registry.task("slow")(plain if kind == "plain" else waiting)
    slow, quick_ones = kept(home, 1, type="slow", timeout_seconds=1), kept(home, 3)

    @registry.task("look")
    def look(payload: Anything) -> list[str]:
        wait_for(lambda: all(home.task(one).status.final for one in quick_ones))
        return [home.task(one).status.value for one in (*slow, *quick_ones)]

    (looking,) = kept(home, 1, type="look")
    execute(home, [a_message(task) for task in (*slow, *quick_ones, looking)])
    over.set()

    assert home.result(looking) == ["running", *["completed"] * 3]
    error = home.task(slow[0]).error
    assert error is not None
    assert error.type == "AttemptTimedOut"
