"""Tasks of a paused lane or type wait, for as long as it lasts, and at hardly any price."""

from tasklane.line import lane_target, type_target
from tasklane.registry import Registry
from tasklane.task import Status
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.support.waiting import never
from tests.unit.pause.conftest import statuses


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
