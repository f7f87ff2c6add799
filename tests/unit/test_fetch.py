"""External workers fetch tasks: the order, the fence, and what stands in the way."""

import threading
from collections.abc import Sequence

import pytest

from tasklane.errors import Unavailable
from tasklane.lease import Failure, Holder
from tasklane.line import type_target
from tasklane.message import TaskMessage
from tasklane.ports import Blocked, Claim
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackEvent, Status, Task
from tests.support.builders import NOW
from tests.support.installation import Installation, UnreliableStore, an_installation


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.declare_external("resize", retry=RetryPolicy.fixed(10), timeout_seconds=30)
    registry.declare_external("scan", retry=RetryPolicy.fixed(0))
    return registry


def fetch(home: Installation, *types: str, limit: int = 1, seconds: int | None = None) -> list[Task]:
    return home.services.fetch(types, limit, seconds)


def test_a_task_for_external_workers_stands_in_its_line_and_no_lane_hears_of_it(home: Installation) -> None:
    task = home.submit("resize")

    assert (home.task(task).line, home.task(task).external) == ("pull:resize", True)
    assert home.task(task).due_at is None, "there is nothing to look after: the line is no message, it cannot get lost"
    assert home.lanes.sent == []


def test_the_highest_priority_goes_first_and_then_who_came_first(home: Installation) -> None:
    tasks = []
    for priority in (1, 3, 3, 5):
        tasks.append(home.submit("resize", priority=priority))
        home.clock.advance(0.01)

    fetched = [fetch(home)[0].id for _ in tasks]

    assert fetched == [tasks[n].id for n in (3, 1, 2, 0)]
    assert fetch(home) == []


def test_only_tasks_of_the_named_types_are_handed_out(home: Installation) -> None:
    scan, resize = home.submit("scan"), home.submit("resize")

    assert [task.id for task in fetch(home, "resize", limit=10)] == [resize.id]
    assert fetch(home, "resize", "nothing", limit=10) == []
    assert [task.id for task in fetch(home, "nothing", "scan", limit=10)] == [scan.id]


def test_of_several_types_the_first_in_all_their_lines_goes_first(home: Installation) -> None:
    tasks = []
    for kind in ("scan", "resize", "scan", "resize"):
        tasks.append(home.submit(kind))
        home.clock.advance(0.01)

    assert [task.id for task in fetch(home, "resize", "scan", limit=3)] == [task.id for task in tasks[:3]]


def test_a_fetched_task_is_its_workers_for_as_long_as_was_asked_for(home: Installation) -> None:
    home.submit("resize")
    (task,) = fetch(home, seconds=100)

    assert (task.status, task.attempt, task.started_at) == (Status.RUNNING, 1, NOW)
    assert task.lease_until == NOW + 100_000
    assert fetch(home) == []


def test_without_a_wish_the_lease_is_the_types(home: Installation) -> None:
    home.submit("resize")

    assert fetch(home)[0].lease_until == NOW + 30_000


def test_a_lost_workers_task_goes_out_again_when_its_lease_has_run_out(home: Installation) -> None:
    """A message comes at the lease's end; nobody has to wait for a sweep."""
    home.submit("scan")
    (first,) = fetch(home, seconds=10)

    home.clock.advance(9.9)
    home.work()
    assert fetch(home) == []
    home.clock.advance(0.1)
    home.work()
    (second,) = fetch(home)

    assert (second.id, second.attempt) == (first.id, 2)
    assert [attempt.error.type for attempt in second.attempts] == ["AttemptLost"]


def test_a_renewed_lease_is_looked_after_at_its_new_end(home: Installation) -> None:
    home.submit("scan")
    (task,) = fetch(home, seconds=10)
    home.clock.advance(5)
    home.services.leases.heartbeat(task.id, Holder.of(task), lease_seconds=20)

    home.clock.advance(5)
    home.work()
    assert fetch(home) == []
    home.clock.advance(15)
    home.work()

    assert [one.attempt for one in fetch(home)] == [2]


def test_what_the_message_at_a_leases_end_does_not_see_to_the_sweeper_does(home: Installation) -> None:
    home.submit("scan")
    home.lanes.refuse = 1
    (task,) = fetch(home, seconds=10)

    home.clock.advance(30)
    home.sweep()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_lease_that_lasts_longer_than_a_queues_delay_is_the_sweepers(home: Installation) -> None:
    home.submit("scan")
    (task,) = fetch(home, seconds=4000)
    assert home.lanes.sent == []

    home.clock.advance(3999)
    home.sweep()
    assert fetch(home) == []
    home.clock.advance(30)
    home.sweep()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_task_whose_last_attempt_was_lost_has_failed(home: Installation) -> None:
    task = home.submit("scan", max_attempts=2)
    for _ in range(2):
        fetch(home, seconds=10)
        home.clock.advance(10)
        home.work()

    assert home.task(task).status is Status.FAILED
    assert home.task(task).attempt == 2


def test_a_delayed_task_enters_its_line_at_its_time(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=60)
    assert home.task(task).line is None

    home.clock.advance(59)
    home.work()
    assert fetch(home) == []
    home.clock.advance(1)
    home.work()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_task_that_was_far_off_enters_its_line_at_its_time(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=7200)

    home.clock.advance(7200 - 14 * 60)
    home.sweep()
    home.clock.advance(14 * 60)
    home.work()

    assert [one.id for one in fetch(home)] == [task.id]


def test_a_delayed_task_whose_message_was_lost_enters_its_line_by_the_sweeper(home: Installation) -> None:
    home.lanes.refuse = 1
    task = home.submit("resize", delay_seconds=60)

    home.clock.advance(60 + 181)
    home.sweep()

    assert home.lanes.sent == []
    assert [one.id for one in fetch(home)] == [task.id]


def test_a_doubled_message_does_nothing(home: Installation) -> None:
    task = home.submit("scan", delay_seconds=60)
    message = home.lanes.sent[0]
    home.clock.advance(60)
    home.work()
    fetch(home, seconds=100)
    before = home.task(task)

    report = home.services.execute([message, message, TaskMessage.of(before.evolve(status=Status.PENDING))], lambda: 60)

    assert report.unhandled == frozenset()
    assert home.task(task) == before


def test_messages_come_again_where_the_table_does_not_answer(home: Installation) -> None:
    home.submit("scan", delay_seconds=60)
    home.clock.advance(60)

    home.store.refuse("get")
    home.work()
    home.store.refuse("save")
    home.work()
    home.work()

    assert len(fetch(home)) == 1


def test_the_sweeper_leaves_alone_who_waits_for_a_worker(home: Installation) -> None:
    for _ in range(50):
        home.submit("resize")
    home.clock.advance(86_400 * 30)

    assert home.sweep().seen == 0
    assert home.lanes.sent == []


def test_who_waits_longer_than_it_may_expires_though_nobody_fetches(home: Installation) -> None:
    task = home.submit("resize", expires_at=NOW + 60_000)
    home.clock.advance(62)

    home.sweep()

    assert home.task(task).status is Status.EXPIRED


def test_what_has_expired_is_not_handed_out(home: Installation) -> None:
    task = home.submit("resize", expires_at=NOW + 60_000, callback_url="https://example.com/")
    home.clock.advance(0.01)
    other = home.submit("resize")
    home.clock.advance(60)

    assert [one.id for one in fetch(home)] == [other.id]
    assert home.task(task).status is Status.EXPIRED
    assert home.deliver().delivered == 1


def test_paused_tasks_are_not_handed_out_and_come_back_to_their_line(home: Installation) -> None:
    paused, other = home.submit("resize", priority=5), home.submit("scan")
    home.services.pause.pause(type_target("resize"))

    assert [one.id for one in fetch(home, limit=5)] == [other.id]
    assert home.task(paused).line == "pause:type:resize"
    assert fetch(home, "resize") == []

    home.services.pause.resume(type_target("resize"), lambda: False)
    home.clock.advance(6)

    assert home.lanes.sent == [TaskMessage.at_lease_end(home.task(other))]
    assert [one.id for one in fetch(home)] == [paused.id]


def test_many_paused_tasks_do_not_hide_the_others(home: Installation) -> None:
    for _ in range(45):
        home.submit("resize", priority=5)
    other = home.submit("scan")
    home.services.pause.pause(type_target("resize"))

    assert [one.id for one in fetch(home)] == [other.id]


def test_a_delayed_task_of_a_paused_type_waits_for_its_end(home: Installation) -> None:
    task = home.submit("resize", delay_seconds=60)
    home.services.pause.pause(type_target("resize"))
    home.clock.advance(60)
    home.work()
    assert home.task(task).line == "pause:type:resize"

    home.services.pause.resume(type_target("resize"), lambda: False)

    assert home.task(task).line == "pull:resize"


@pytest.mark.parametrize("rescheduled", [True, False])
def test_a_task_that_is_put_off_leaves_its_line(home: Installation, *, rescheduled: bool) -> None:
    task = home.submit("resize")
    if rescheduled:
        home.services.manage.reschedule(task.id, run_at=NOW + 60_000)
    else:
        home.services.manage.cancel(task.id)

    assert fetch(home) == []
    home.clock.advance(60)
    home.work()
    assert [one.id for one in fetch(home)] == [task.id] * rescheduled


def test_a_task_that_begins_again_by_hand_stands_in_its_line(home: Installation) -> None:
    task = home.submit("resize")
    (leased,) = fetch(home)
    home.services.leases.fail(task.id, Holder.of(leased), Failure(type="E", message="", retryable=False))
    assert home.task(task).status is Status.FAILED

    home.services.manage.retry(task.id)

    (again,) = fetch(home)
    assert (again.id, again.attempt, again.max_attempts) == (task.id, 2, 4)


def test_another_priority_is_another_place_in_the_line(home: Installation) -> None:
    home.submit("resize")
    second = home.submit("resize")

    home.services.manage.reschedule(second.id, priority=5)

    assert fetch(home)[0].id == second.id


def test_what_never_reached_its_worker_is_given_back_without_counting_an_attempt(home: Installation) -> None:
    home.submit("resize")

    home.services.fetch.give_back(fetch(home))

    (task,) = fetch(home)
    assert (task.attempt, task.run, task.attempts) == (1, 2, ())


def test_a_worker_is_told_where_nothing_is_known_to_be_its_own(home: Installation) -> None:
    home.submit("resize")
    home.store.refuse("claim")

    with pytest.raises(Unavailable):
        fetch(home)


def test_who_wants_to_know_that_a_run_began_is_told(home: Installation) -> None:
    home.submit("resize", callback_url="https://example.com/", callback_events=(CallbackEvent.RUNNING,))

    fetch(home)

    assert home.queues.depth(0) == 1


class Crowd(UnreliableStore):
    """Lets many workers look before any of them takes something."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(workers)
        self.met = threading.local()

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        if not getattr(self.met, "once", False):
            self.met.once = True
            self._barrier.wait(20)
        return super().claim(claims)


def test_of_twenty_who_come_at_once_each_gets_a_task_of_its_own(registry: Registry) -> None:
    home = an_installation(registry=registry, store=Crowd(20))
    for _ in range(25):
        home.submit("resize")
    found: list[str] = []

    def work() -> None:
        found.extend(task.id for task in fetch(home))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == len(set(found)) == 20
