"""Pausing and resuming lanes and task types."""

from typing import TYPE_CHECKING, Any

import pytest

from tasklane.gate import REMEMBER_MS
from tasklane.line import lane_target, type_target
from tasklane.pause import SETTLED_MS
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.task import Status, Task
from tests.support.installation import Installation
from tests.support.payloads import Anything

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _types(registry: Registry) -> None:
    @registry.task("note")
    def note(payload: Anything) -> str:
        return "noted"

    @registry.task("other")
    def other(payload: Anything) -> str:
        return "other"


def never() -> bool:
    return False


def statuses(home: Installation, *tasks: Task) -> list[Status]:
    return [home.task(task).status for task in tasks]


def test_tasks_of_a_paused_lane_wait_without_a_message(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    held, other = home.submit("note"), home.submit("note", priority=4)

    report = home.work(lane=3)
    home.work(lane=4)

    assert (report.unhandled, report.outcomes) == (frozenset(), ())
    assert statuses(home, held, other) == [Status.PENDING, Status.COMPLETED]
    assert home.task(held).line == "pause:lane:3"
    assert home.task(held).attempt == 0
    assert home.queues.depth(3) == 0


def test_a_paused_type_waits_in_every_lane_and_no_other_type_does(home: Installation) -> None:
    home.services.pause.pause(type_target("note"))
    held = [home.submit("note", priority=priority) for priority in (1, 5)]
    other = home.submit("other", priority=5)
    home.work(lane=1)
    home.work(lane=5)

    assert statuses(home, *held, other) == [Status.PENDING, Status.PENDING, Status.COMPLETED]
    assert {home.task(task).line for task in held} == {"pause:type:note"}


def test_resumed_tasks_run_in_their_order(home: Installation, registry: Registry) -> None:
    order: list[int] = []

    @registry.task("number")
    def number(payload: Anything) -> None:
        order.append((payload.model_extra or {})["n"])

    home.services.pause.pause(type_target("number"))
    for n in range(30):
        home.submit("number", {"n": n})
        home.clock.advance(0.01)
        home.work()
    home.clock.advance(3600)

    resumed = home.services.pause.resume(type_target("number"), never)
    sent = [message.task_id for message in home.lanes.sent[-30:]]

    assert (resumed.released, resumed.more) == (30, False)
    assert sent == sorted(sent), "the ids are time-ordered"
    home.clock.advance(REMEMBER_MS / 1000)
    while home.queues.depth(3):
        home.work()
    assert sorted(order) == list(range(30))


def test_a_resume_that_runs_out_of_time_leaves_the_rest_to_the_sweeper(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    tasks = [home.submit("note") for _ in range(10)]
    home.work()

    resumed = home.services.pause.resume(lane_target(3), lambda: True)
    assert (resumed.released, resumed.more) == (0, True)
    assert home.sweep().sent == 10
    home.clock.advance(REMEMBER_MS / 1000)
    home.work()

    assert set(statuses(home, *tasks)) == {Status.COMPLETED}


def test_a_pause_that_is_over_is_forgotten_once_nobody_can_be_behind(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    home.services.pause.resume(lane_target(3), never)
    home.sweep()
    assert len(home.control.pauses()) == 1

    home.clock.advance(SETTLED_MS / 1000 + 1)
    home.sweep()

    assert home.control.pauses() == []


def test_a_worker_that_has_not_heard_of_the_resume_does_not_strand_its_tasks(home: Installation) -> None:
    """It makes them stand in line after everybody else was let go."""
    home.services.pause.pause(lane_target(3))
    home.submit("note")
    home.work()
    home.services.pause.resume(lane_target(3), never)
    late = home.submit("note")

    home.work()  # it still believes in the pause
    assert home.task(late).line is None, "it has asked once more after holding it"
    home.work()

    assert home.task(late).status is Status.COMPLETED


def test_who_could_not_ask_once_more_leaves_it_to_the_sweeper(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.services.pause.pause(lane_target(3))
    home.submit("note")
    home.work()
    home.services.pause.resume(lane_target(3), never)
    late = home.submit("note")
    home.control.refuse = 1

    home.work()
    assert home.task(late).line == "pause:lane:3"
    home.sweep()
    home.work()

    assert home.task(late).status is Status.COMPLETED


def test_a_pause_holds_for_days_at_the_price_of_few_looks(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.work()
    home.store.saved.clear()

    for _ in range(3 * 24 * 60):
        home.clock.advance(60)
        home.sweep()

    assert sum(len(changes) for changes in home.store.saved) <= 12
    assert home.queues.depth(3) == 0
    assert home.task(task).status is Status.PENDING


def test_the_sweeper_lets_go_whom_nothing_holds_back(home: Installation) -> None:
    """Whatever was lost on the way: a task whose pause is over and forgotten is found by its own time."""
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.work()
    home.control.end_pause(lane_target(3), home.clock.now())
    home.control.forget_pause(home.control.pauses()[0])

    home.clock.advance(600)
    home.sweep()
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_a_lane_and_a_type_that_are_both_paused_must_both_be_resumed(home: Installation) -> None:
    for target in (lane_target(3), type_target("note")):
        home.services.pause.pause(target)
    task = home.submit("note")
    home.work()

    home.services.pause.resume(lane_target(3), never)
    home.clock.advance(REMEMBER_MS / 1000)
    home.work()
    assert home.task(task).line == "pause:type:note"

    home.services.pause.resume(type_target("note"), never)
    home.work()
    home.clock.advance(REMEMBER_MS / 1000)
    home.work()
    assert home.task(task).status is Status.COMPLETED


def test_a_held_task_can_be_cancelled_rescheduled_and_expires(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    off, moved = home.submit("note"), home.submit("note")
    short = home.submit("note", expires_at=home.clock.now() + 60_000)
    home.work()

    home.services.manage.cancel(off.id)
    home.services.manage.reschedule(moved.id, priority=4)
    home.work(lane=4)
    home.clock.advance(70)
    home.sweep()

    assert statuses(home, off, moved, short) == [Status.CANCELLED, Status.COMPLETED, Status.EXPIRED]
    assert home.store.in_line("pause:lane:3", 10) == []


def test_a_delayed_task_waits_for_its_time_first(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note", delay_seconds=30)
    home.work()
    assert home.task(task).line is None

    home.clock.advance(30)
    home.work()
    assert (home.task(task).line, home.task(task).status) == ("pause:lane:3", Status.PENDING)


def test_running_tasks_go_on_and_their_retries_wait(home: Installation, registry: Registry) -> None:
    @registry.task("fails")
    def fails(payload: Anything) -> None:
        home.services.pause.pause(lane_target(3))
        raise OSError("once")

    task = home.submit("fails")
    home.work()
    home.clock.advance(900)
    home.work()

    assert (home.task(task).status, home.task(task).line) == (Status.PENDING, "pause:lane:3")


def test_who_is_paused_already_stays_so_since_then(home: Installation) -> None:
    first = home.services.pause.pause(lane_target(3))
    home.clock.advance(5)

    assert home.services.pause.pause(lane_target(3)) == first
    assert home.services.pause.pauses() == {"lane:3": first}
    assert home.services.pause.resume(lane_target(1), never).released == 0


def test_a_worker_asks_once_in_a_while_however_many_tasks_there_are(home: Installation) -> None:
    for _ in range(50):
        home.submit("note")
    while home.queues.depth(3):
        home.work()
    assert home.control.reads == 1

    home.clock.advance(REMEMBER_MS / 1000)
    home.submit("note")
    home.work()
    assert home.control.reads == 2


def test_a_clock_set_back_does_not_make_old_knowledge_last(home: Installation) -> None:
    home.submit("note")
    home.work()
    home.services.pause.pause(lane_target(3))
    home.clock.advance(-3600)
    task = home.submit("note")
    home.work()

    assert home.task(task).line == "pause:lane:3"


def test_what_was_known_stands_while_the_store_does_not_answer(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    home.submit("note")
    home.work()
    home.clock.advance(60)
    home.control.refuse = 2
    task = home.submit("note")

    home.work()
    assert home.task(task).line == "pause:lane:3"


def test_while_nothing_is_known_messages_come_again(home: Installation) -> None:
    home.control.refuse = 1
    task = home.submit("note")

    assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).status is Status.COMPLETED


@pytest.mark.parametrize("method", ["get", "save"])
def test_a_task_that_could_not_be_held_is_announced_again(home: Installation, method: str) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.store.refuse(method)

    assert home.work().unhandled == {0}
    home.work()
    assert home.task(task).line == "pause:lane:3"


def test_a_sweep_that_cannot_read_the_pauses_says_so(home: Installation) -> None:
    home.control.refuse = 1

    report = home.sweep()

    assert (report.failed, report.complete) == (1, False)


def test_an_index_that_lags_ends_a_release_for_now(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.work()
    monkeypatch.setattr(home.store, "in_line", lambda line, limit: [task.id])

    resumed = home.services.pause.resume(lane_target(3), never)

    assert (resumed.released, resumed.more) == (1, True)


def test_two_that_resume_at_once_send_each_task_once(home: Installation) -> None:
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.work()
    before = len(home.lanes.sent)
    store: Any = home.store
    saved: Callable[..., Any] = store.save

    def other_first(changes: list[Change]) -> Any:
        store.save = saved
        home.services.pause.resume(lane_target(3), never)
        return saved(changes)

    store.save = other_first
    home.services.pause.resume(lane_target(3), never)

    assert [message.task_id for message in home.lanes.sent[before:]] == [task.id]
