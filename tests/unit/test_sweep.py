"""The sweeper: whatever went wrong or is far off, every task is looked after, once, and not for ever."""

import threading
from collections.abc import Callable

import pytest

from tasklane.adapters.memory import ManualClock
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Change
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.sweep import CLOCK_TOLERANCE_MS, Sweep, SweepReport
from tasklane.task import CallbackState, Status, Task
from tasklane.transitions import PROMOTE_AHEAD_MS
from tests.support.builders import NOW, a_change, a_completed_task, a_pending_callback, a_running_task, a_task
from tests.support.installation import CALLBACKS, Installation, UnreliableStore
from tests.support.payloads import Nothing

RECOVERY = 180


@pytest.fixture(autouse=True)
def types(registry: Registry) -> None:
    @registry.task("echo", retry=RetryPolicy(base_seconds=10, cap_seconds=10))
    def echo(payload: Nothing) -> None: ...

    registry.declare_external("scan")


def kept(home: Installation, task: Task) -> Task:
    home.store.put([task])
    return task


# -- sends that got lost -----------------------------------------------------------------------------------------------


def test_a_task_whose_send_got_lost_is_sent_again(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    again = home.task(task)
    assert (again.status, again.sends, again.due_at) == (Status.PENDING, 1, NOW + 2 * RECOVERY * 1000)
    assert home.lanes.sent == [TaskMessage.of(again)]
    home.work()
    assert home.task(task).status is Status.COMPLETED


def test_a_task_that_is_not_due_is_left_alone(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW + 1))

    assert home.sweep() == SweepReport()
    assert home.task(task) == task


def test_a_message_that_got_lost_twice_is_sent_a_third_time(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))
    home.lanes.refuse = 2
    for _ in range(3):
        home.sweep()
        home.clock.advance(3600)

    assert [message.task_id for message in home.lanes.sent] == [task.id]
    assert home.task(task).sends == 3


def test_a_message_sent_by_the_sweeper_does_not_double_the_one_that_was_only_late(home: Installation) -> None:
    task = kept(home, a_task(due_at=NOW))
    home.lanes.send([TaskMessage.of(task)])
    home.sweep()

    reports = [home.work(), home.work()]

    assert sum(len(report.outcomes) for report in reports) == 1
    assert home.task(task).run == 1


def test_a_long_backlog_is_not_sent_over_and_over(home: Installation) -> None:
    tasks = [kept(home, a_task(due_at=NOW)) for _ in range(20)]

    for _ in range(24 * 60):  # a day without a worker, a sweep a minute
        home.sweep()
        home.clock.advance(60)

    extra = len(home.lanes.sent) / len(tasks)
    assert extra <= 10, "each pause is twice the last"
    assert extra >= 7


def test_an_external_task_whose_message_was_lost_stands_in_its_line_and_is_not_sent(home: Installation) -> None:
    task = kept(home, a_task(type="scan", external=True, due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=0)
    assert (home.task(task).line, home.task(task).due_at) == ("pull:scan", None)


def test_a_type_that_the_sweeper_does_not_know_is_sent(home: Installation) -> None:
    kept(home, a_task(type="of-tomorrow", due_at=NOW))

    assert home.sweep().sent == 1


# -- far off -----------------------------------------------------------------------------------------------------------


def test_a_task_that_is_far_off_is_sent_when_a_queue_can_carry_it_to_its_time(home: Installation) -> None:
    task = home.submit("echo", delay_seconds=3600)
    home.clock.advance(3600 - PROMOTE_AHEAD_MS / 1000 - 1)
    home.sweep()
    assert home.lanes.sent == []

    home.clock.advance(1)
    home.sweep()

    (message,) = home.lanes.sent
    assert message.delay_seconds(home.clock.now()) == PROMOTE_AHEAD_MS // 1000
    assert home.task(task).sends == 0, "it is its first message"
    home.sweep()
    assert len(home.lanes.sent) == 1
    home.clock.advance(PROMOTE_AHEAD_MS / 1000)
    home.work()
    assert (home.task(task).status, home.task(task).started_at) == (Status.COMPLETED, NOW + 3_600_000)


def test_of_a_year_only_a_few_looks_are_needed(home: Installation) -> None:
    home.submit("echo", delay_seconds=300 * 86_400)

    looks = 0
    while not home.lanes.sent:
        due_at = home.store.only().due_at
        assert due_at is not None
        home.clock.advance((due_at - home.clock.now()) / 1000)
        home.sweep()
        looks += 1

    assert looks == 1


# -- expiry ------------------------------------------------------------------------------------------------------------


def test_a_task_that_nobody_started_in_time_expires(home: Installation) -> None:
    task = home.submit("echo", expires_at=NOW + 10_000, callback_url="https://hooks.example.com/")
    home.clock.advance(11)

    home.sweep()

    assert home.task(task).status is Status.EXPIRED
    assert home.queues.depth(CALLBACKS) == 1
    assert home.work().refused + len(home.work().outcomes) == 0
    assert home.task(task).run == 0


# -- workers that were lost --------------------------------------------------------------------------------------------


def test_a_run_whose_lease_lasts_is_looked_at_again_when_it_ends(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=0)
    assert home.task(task) == task.evolve(due_at=NOW + 75_000 + CLOCK_TOLERANCE_MS)


def test_a_run_whose_worker_was_lost_is_tried_again(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW + 75_000))
    home.clock.advance(75 + CLOCK_TOLERANCE_MS / 1000)

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    waiting = home.task(task)
    assert (waiting.status, waiting.run) == (Status.SCHEDULED, 1)
    assert [(one.number, one.error.type) for one in waiting.attempts] == [(1, "AttemptLost")]
    assert waiting.run_at is not None
    assert waiting.run_at <= home.clock.now() + 10_000
    home.clock.advance(10)
    home.work()
    assert (home.task(task).status, home.task(task).run) == (Status.COMPLETED, 2)


def test_the_clocks_of_worker_and_sweeper_may_differ_a_little(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW + 75_000))
    home.clock.advance(75)

    home.sweep()

    assert home.task(task).status is Status.RUNNING


def test_a_task_whose_workers_were_all_lost_fails_and_says_so(home: Installation) -> None:
    task = kept(home, a_running_task(run=3, due_at=NOW, lease_until=NOW - 60_000, callback=a_pending_callback()))

    home.sweep()

    failed = home.task(task)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.type == "AttemptLost"
    assert (home.queues.depth(3), home.queues.depth(CALLBACKS)) == (0, 1)


def test_a_lost_run_that_had_been_called_off_ends_cancelled(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW, lease_until=NOW - 60_000, cancel_requested=True))

    home.sweep()

    assert home.task(task).status is Status.CANCELLED


def test_a_run_renewed_meanwhile_is_not_taken_for_lost(home: Installation) -> None:
    task = kept(home, a_running_task(due_at=NOW, lease_until=NOW - 60_000))
    step = home.services.sweep.next_step(task, NOW)
    assert step is not None
    home.store.save([a_change(task, lease_until=NOW + 75_000)])

    assert home.store.save([step]) == [False]


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_a_callback_whose_send_got_lost_is_sent_again(home: Installation) -> None:
    task = kept(home, a_completed_task(callback=a_pending_callback(tries=1), due_at=NOW))

    assert home.sweep() == SweepReport(seen=1, changed=1, sent=1)

    (delivery,) = home.queues.receive(CALLBACKS, 10, 0)
    assert CallbackMessage.from_json(delivery.body) == CallbackMessage(task_id=task.id, number=2, send_at=NOW)
    assert (home.task(task).sends, home.task(task).due_at) == (1, NOW + 2 * RECOVERY * 1000)


def test_a_callback_that_is_hours_off_is_sent_in_time(home: Installation) -> None:
    at = NOW + 7_200_000
    task = kept(home, a_completed_task(callback=a_pending_callback(next_at=at), due_at=at - PROMOTE_AHEAD_MS))
    home.clock.advance(7200 - PROMOTE_AHEAD_MS / 1000)

    home.sweep()

    assert (home.task(task).sends, home.queues.depth(CALLBACKS)) == (0, 1)


@pytest.mark.parametrize("state", [CallbackState.DELIVERED, CallbackState.UNDELIVERED])
def test_a_callback_that_is_no_longer_owed_is_not_looked_at_again(home: Installation, state: CallbackState) -> None:
    task = kept(home, a_completed_task(callback=a_pending_callback(state=state), due_at=NOW))
    plain = kept(home, a_completed_task(due_at=NOW))

    home.sweep()

    assert (home.task(task).due_at, home.task(plain).due_at) == (None, None)
    assert home.queues.depth(CALLBACKS) == 0


# -- many tasks, little time, more than one sweeper --------------------------------------------------------------------


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
