"""External workers fetch tasks: which goes first, and that each goes to one of them."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasklane.errors import Unavailable
from tasklane.ports import Blocked, Claim
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, Status, Task
from tests.support.builders import NOW
from tests.support.installation import Installation, UnreliableStore, an_installation
from tests.unit.fetch.conftest import fetch


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


def test_nobody_is_told_that_there_is_nothing_while_many_wait(registry: Registry) -> None:
    """Twenty workers of ten each look at the same first ones: then each looks further down the line."""
    home = an_installation(registry=registry, store=Crowd(20))
    for _ in range(400):
        home.submit("resize")

    with ThreadPoolExecutor(20) as workers:
        batches = list(workers.map(lambda _: fetch(home, limit=10), range(20)))

    assert [len(batch) for batch in batches] == [10] * 20
    assert len({task.id for batch in batches for task in batch}) == 200
