"""Many tasks, little time, stores that refuse, more than one sweeper: every task is looked after all the same."""

import threading
from collections.abc import Callable

import pytest

from tasklane.adapters.memory import ManualClock
from tasklane.ports import Change
from tasklane.sweep import Sweep, SweepReport
from tasklane.task import Task
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_running_task, a_task
from tests.support.installation import Installation, UnreliableStore
from tests.unit.sweep.conftest import kept


def test_more_tasks_than_a_page_are_all_looked_after(home: Installation) -> None:
    for _ in range(140):
        kept(home, a_task(due_at=NOW))

    assert home.sweep() == SweepReport(seen=140, changed=140, sent=140)


def test_a_sweep_ends_before_its_process_must(home: Installation) -> None:
    kept(home, a_task(due_at=NOW))

    assert home.sweep(seconds=9.9) == SweepReport(complete=False)
    assert home.sweep(seconds=10.1).seen == 1


@pytest.mark.parametrize("method", ["due", "get"])
def test_a_shard_that_does_not_answer_is_left_to_the_next_sweep(home: Installation, method: str) -> None:
    tasks = [kept(home, a_task(due_at=NOW)) for _ in range(40)]
    home.store.refuse(method)

    first = home.sweep()
    second = home.sweep()

    assert (first.complete, second.complete) == (False, True)
    assert 0 < first.changed < 40
    assert first.changed + second.changed == 40
    assert len(home.lanes.sent) == len(tasks)


def test_writes_that_are_refused_are_not_sent(home: Installation) -> None:
    kept(home, a_task(due_at=NOW))
    home.store.refuse("save", 2)

    assert home.sweep() == SweepReport(seen=1, changed=0, sent=0)
    assert home.sweep() == SweepReport(seen=1, changed=0, sent=0)
    assert home.sweep().sent == 1


def test_tasks_behind_a_page_that_cannot_be_changed_are_found(home: Installation) -> None:
    class Stuck(UnreliableStore):
        def save(self, changes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            stuck = {task.id for task in blocked}
            answers = super().save([c for c in changes if c.before.id not in stuck])
            return [False if c.before.id in stuck else answers.pop(0) for c in changes]

    store, clock = Stuck(), home.clock
    blocked = [a_task(due_at=NOW - 1000) for _ in range(150)]
    store.put([*blocked, *(a_task(due_at=NOW) for _ in range(4))])

    report = a_sweep(home, store, clock)(lambda: 60.0)

    assert report.changed == report.sent == 4


def a_sweep(home: Installation, store: UnreliableStore, clock: ManualClock) -> Sweep:
    return Sweep(
        store=store,
        queue=home.lanes,
        callback_queue=home.services.callback_queue,
        control=home.control,
        types=home.services.types,
        clock=clock,
        timing=home.services.settings.timing,
    )


class MeetingStore(UnreliableStore):
    """Lets nobody write before everybody has read."""

    def __init__(self, readers: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(readers)

    def get(self, task_ids):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        found = super().get(task_ids)
        self._barrier.wait(10)
        return found


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: a_task(due_at=NOW), id="a lost send"),
        pytest.param(lambda: a_running_task(due_at=NOW, lease_until=NOW - 60_000), id="a lost run"),
        pytest.param(lambda: a_completed_task(due_at=NOW, callback=a_pending_callback()), id="a lost callback"),
        pytest.param(
            lambda: a_task(due_at=NOW, expires_at=NOW - 1, callback=a_pending_callback()), id="an expired task"
        ),
    ],
)
@pytest.mark.parametrize("ahead", [0, 7], ids=["in the same millisecond", "a little apart"])
def test_of_two_sweepers_at_once_one_sends(home: Installation, build: Callable[[], Task], ahead: int) -> None:
    store = MeetingStore(2)
    store.put([build()])
    sweepers = [a_sweep(home, store, ManualClock(NOW + n * ahead)) for n in range(2)]
    reports: list[SweepReport] = []

    threads = [threading.Thread(target=lambda s=one: reports.append(s(lambda: 60.0))) for one in sweepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [report.seen for report in reports] == [1, 1]
    assert sum(report.sent for report in reports) == 1
    assert sum(report.changed for report in reports) == 1
    assert sum(home.queues.depth(queue) for queue in range(6)) == 1


def test_a_task_that_cannot_be_judged_keeps_no_other_from_being_looked_after(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = kept(home, a_task(due_at=NOW)), [kept(home, a_task(due_at=NOW)) for _ in range(40)]
    real = Sweep.next_step

    def next_step(sweep: Sweep, task: Task, now: int) -> Change | None:
        if task.id == broken.id:
            raise TypeError("isinstance() arg 2 must be a type")
        return real(sweep, task, now)

    monkeypatch.setattr(Sweep, "next_step", next_step)

    report = home.sweep()

    assert (report.changed, report.failed > 0) == (40, True)
    assert {home.task(task).sends for task in sound} == {1}
