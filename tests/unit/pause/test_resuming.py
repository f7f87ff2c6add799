"""Who is resumed starts, in order and once, whoever has not heard of it."""

from typing import TYPE_CHECKING, Any

import pytest

from tasklane import release
from tasklane.gate import REMEMBER_MS
from tasklane.line import lane_target, pause_line, type_target
from tasklane.message import TaskMessage
from tasklane.pause import SETTLED_MS
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.support.waiting import never

if TYPE_CHECKING:
    from collections.abc import Callable

from tests.unit.pause.conftest import statuses


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
    home.control.refuse = 2

    home.work()
    assert home.task(late).line == "pause:lane:3"
    home.sweep()
    for _ in range(2):
        home.work()

    assert home.task(late).status is Status.COMPLETED


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


def test_an_index_that_lags_ends_a_release_for_now(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "LAG_SECONDS", 0)
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


def test_what_an_index_shows_too_long_ends_no_resume(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else let them go: the index shows them a little longer, and then who stands behind them."""
    monkeypatch.setattr(release, "LAG_SECONDS", 0)
    moved_on, waiting = home.submit("note"), home.submit("note", priority=1)
    home.services.pause.pause(type_target("note"))
    home.work(1)
    pages, in_line = [[moved_on.id], [moved_on.id]], home.store.in_line
    monkeypatch.setattr(home.store, "in_line", lambda line, limit: pages.pop() if pages else in_line(line, limit))

    resumed = home.services.pause.resume(type_target("note"), never)

    assert (resumed.released, resumed.more) == (1, False)
    assert home.task(waiting).line is None


def test_who_is_held_again_by_a_worker_that_has_not_heard_of_it_ends_no_resume(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker asks once more after that, and lets him go itself."""
    line = pause_line(lane_target(3))
    home.services.pause.pause(lane_target(3))
    task = home.submit("note")
    home.work()
    in_line, looks = home.store.in_line, iter(range(10))

    def held_again(line: str, limit: int) -> list[str]:
        if next(looks) == 1:
            home.services._lines.hold({TaskMessage.of(home.task(task)): line})
        return in_line(line, limit)

    def let_go(_: float) -> None:
        home.services._release.let_these_go(line, [task.id])

    monkeypatch.setattr(home.store, "in_line", held_again)
    monkeypatch.setattr("tasklane.release.time.sleep", let_go)

    resumed = home.services.pause.resume(lane_target(3), never)

    assert (resumed.released, resumed.more) == (1, False)
    assert home.task(task).line is None
