"""Dead letters: the record decides which are sent again, and nothing leaves its queue before that is done."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from tasklane.errors import NonRetryable, Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Change
from tasklane.redrive import RedriveReport
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import CallbackEvent, CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_message, a_pending_callback, a_running_task, a_task
from tests.support.installation import CALLBACKS, Installation

LANE = 3
POISON = "written by somebody else"


class Empty(BaseModel):
    pass


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.task("echo", retry=RetryPolicy(max_attempts=2))
    def echo(payload: Empty) -> int:
        return 55

    @registry.task("fail")
    def fail(payload: Empty) -> None:
        raise NonRetryable("no such account")

    registry.declare_external("resize")
    return registry


def for_ever() -> float:
    return 1.0


def bury(home: Installation, *tasks: Task, **message: Any) -> None:
    """Keep these tasks, and their messages as dead letters."""
    home.store.put(tasks)
    for task in tasks:
        home.dead_letters.send(LANE, replace(a_message(task), **message).to_json(), 0)


def redrive(home: Installation, limit: int = 1000, *, reopen: bool = False) -> RedriveReport:
    return home.services.redrive.lane(LANE, limit=limit, remaining=for_ever, reopen=reopen)


def sent(home: Installation, lane: int = LANE) -> list[TaskMessage]:
    return [TaskMessage.from_json(one.body) for one in home.queues.receive(lane, 100, 0)]


def left(home: Installation, lane: int = LANE) -> list[str]:
    """Bodies that may be received from the dead-letter queue."""
    return [one.body for one in home.dead_letters.receive(lane, 100, 0)]


# -- what becomes of a task --------------------------------------------------------------------------------------------


def test_a_waiting_task_is_sent_again_as_if_for_the_first_time(home: Installation) -> None:
    task = a_task(sends=9, due_at=NOW + 10**9)
    bury(home, task)

    assert redrive(home) == RedriveReport(sent=1)

    again = home.task(task)
    assert (again.status, again.run, again.sends) == (Status.PENDING, 0, 0)
    assert again.due_at == NOW + 180_000, "should this message get lost, the sweeper sends another one soon"
    assert sent(home) == [TaskMessage.of(again)]
    assert left(home) == []


def test_what_was_sent_again_is_run(home: Installation) -> None:
    task = home.submit()
    (message,) = sent(home)
    home.dead_letters.send(LANE, message.to_json(), 0)

    redrive(home)
    home.work()

    assert home.task(task).status is Status.COMPLETED


def test_a_task_goes_down_the_lane_that_its_record_names(home: Installation) -> None:
    bury(home, a_task(priority=5), priority=LANE)

    assert redrive(home).sent == 1
    assert len(sent(home, lane=5)) == 1


def test_a_task_that_waits_for_a_near_time_is_sent_for_that_time(home: Installation) -> None:
    bury(home, a_task(status=Status.SCHEDULED, run_at=NOW + 60_000, run=1))

    assert redrive(home).sent == 1
    assert sent(home) == []
    home.clock.advance(60)
    assert len(sent(home)) == 1


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (a_task(status=Status.SCHEDULED, run_at=NOW + 3_600_000), "scheduled"),
        (a_task(expires_at=NOW - 1), "pending"),
        (a_task(type="resize", external=True, line="pull:resize"), "pending"),
        (a_task(line="pause:lane:3"), "pending"),
        (a_running_task(), "running"),
        (a_running_task(lease_until=NOW - 1), "running"),
        (a_completed_task(), "completed"),
        (a_completed_task(status=Status.FAILED), "failed"),
        (a_completed_task(status=Status.CANCELLED), "cancelled"),
        (a_completed_task(status=Status.EXPIRED), "expired"),
    ],
    ids=["far off", "overdue", "external", "paused", "running", "lost", "completed", "failed", "cancelled", "expired"],
)
def test_what_needs_nothing_is_left_alone_and_its_dead_letter_removed(
    home: Installation, task: Task, kind: str
) -> None:
    bury(home, task, status="pending")

    assert redrive(home) == RedriveReport(removed={kind: 1})

    assert home.task(task) == task
    assert sent(home) == []
    assert left(home) == []


def test_a_dead_letter_of_a_task_that_is_gone_is_removed(home: Installation) -> None:
    home.dead_letters.send(LANE, a_message().to_json(), 0)

    assert redrive(home) == RedriveReport(removed={"unknown": 1})
    assert left(home) == []


def test_several_dead_letters_of_a_task_send_it_once(home: Installation) -> None:
    task = a_task()
    bury(home, task)
    for run in (1, 2, 1):
        home.dead_letters.send(LANE, a_message(task, run=run).to_json(), 0)

    assert redrive(home) == RedriveReport(sent=1, removed={"repeated": 3})
    assert len(sent(home)) == 1


def test_dead_letters_of_a_task_in_several_batches_send_it_once(home: Installation) -> None:
    task = a_task()
    bury(home, task, *(a_task() for _ in range(15)), task)

    assert redrive(home) == RedriveReport(sent=16, removed={"repeated": 1})


# -- failed tasks ------------------------------------------------------------------------------------------------------


def a_failed_task(home: Installation) -> Task:
    task = home.submit("fail", callback_url="https://hooks.example.com/")
    (message,) = sent(home)
    home.services.execute([message], lambda: 60.0)
    home.dead_letters.send(LANE, message.to_json(), 0)
    assert home.task(task).status is Status.FAILED
    return home.task(task)


def test_a_failed_task_begins_again_where_that_is_wanted(home: Installation) -> None:
    task = a_failed_task(home)

    assert redrive(home, reopen=True) == RedriveReport(reopened=1)

    again = home.task(task)
    assert (again.status, again.run, again.max_attempts) == (Status.PENDING, 2, 1 + 3)
    assert again.attempts == task.attempts
    assert again.callback is not None
    assert again.callback.state is CallbackState.WAITING
    assert sent(home) == [TaskMessage.of(again)]


def test_a_failed_task_begins_again_once_however_many_dead_letters_it_has(home: Installation) -> None:
    task = a_failed_task(home)
    letter = a_message(task, run=task.run, status="pending").to_json()
    home.dead_letters.send(LANE, letter, 0)

    assert redrive(home, reopen=True) == RedriveReport(reopened=1, removed={"repeated": 1})
    home.work()
    home.dead_letters.send(LANE, letter, 0)
    assert redrive(home, reopen=True) == RedriveReport(removed={"failed": 1}), "this run did not fail"
    assert home.task(task).status is Status.FAILED


def test_a_failed_task_whose_retention_has_ended_stays_failed(home: Installation) -> None:
    bury(home, a_completed_task(status=Status.FAILED, delete_at=NOW // 1000), run=1, status="pending")

    assert redrive(home, reopen=True) == RedriveReport(removed={"failed": 1})


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED, Status.EXPIRED])
def test_what_did_not_fail_never_begins_again(home: Installation, status: Status) -> None:
    bury(home, a_completed_task(status=status), run=1, status="pending")

    assert redrive(home, reopen=True) == RedriveReport(removed={status.value: 1})


# -- what stays --------------------------------------------------------------------------------------------------------


def test_what_is_no_message_stays_and_hides_nothing(home: Installation) -> None:
    for _ in range(25):
        home.dead_letters.send(LANE, POISON, 0)
    bury(home, *(a_task() for _ in range(5)))

    assert redrive(home, limit=5) == RedriveReport(sent=5, poison=25, more=True)
    assert redrive(home) == RedriveReport(poison=25)
    assert left(home) == [POISON] * 25


def test_at_most_so_many_are_looked_after_at_once(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(12)))

    assert redrive(home, limit=11) == RedriveReport(sent=11, more=True)
    assert redrive(home, limit=11) == RedriveReport(sent=1)


def test_it_ends_when_its_time_is_up(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(25)))
    seconds = iter([2.0, 1.0, 0.0])

    report = home.services.redrive.lane(LANE, limit=1000, remaining=lambda: next(seconds))

    assert report == RedriveReport(sent=20, more=True)


def test_an_empty_queue_is_no_work(home: Installation) -> None:
    assert redrive(home) == RedriveReport()


# -- what refuses ------------------------------------------------------------------------------------------------------


def test_a_dead_letter_stays_until_its_task_was_sent(home: Installation) -> None:
    task = a_task(sends=5)
    bury(home, task)
    home.dead_letters.send(LANE, a_message(task, run=7).to_json(), 0)
    home.lanes.refuse = 1

    with pytest.raises(Unavailable, match="the lane is closed"):
        redrive(home)
    assert home.dead_letters.depth(LANE) == 2
    assert home.task(task).due_at == NOW + 180_000, "the sweeper sends it, if nobody else does"

    assert redrive(home) == RedriveReport(sent=1, removed={"repeated": 1})


@pytest.mark.parametrize("method", ["get", "save"])
def test_dead_letters_stay_while_the_table_refuses(home: Installation, method: str) -> None:
    bury(home, a_task(), a_task())
    home.store.refuse(method)

    with pytest.raises(Unavailable):
        redrive(home)
    assert home.dead_letters.depth(LANE) == 2
    assert redrive(home).sent == 2


def test_what_was_done_before_something_refused_is_told(home: Installation) -> None:
    bury(home, *(a_task() for _ in range(25)))
    remaining = itertools.count()

    def refuse_later() -> float:
        if next(remaining) == 1:
            home.store.refuse("save")
        return 1.0

    report = home.services.redrive.lane(LANE, limit=1000, remaining=refuse_later)

    assert report == RedriveReport(sent=10, unanswered=10, more=True)
    assert redrive(home) == RedriveReport(sent=15)


def test_a_record_that_cannot_be_read_is_not_taken_for_one_that_is_gone(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, other = a_task(), a_task()
    bury(home, newer, other)
    read = home.store.get

    def get(task_ids: Sequence[str]) -> dict[str, Task]:
        if list(task_ids) == [newer.id]:
            raise Unavailable("it cannot be read by this version")
        return {task_id: task for task_id, task in read(task_ids).items() if task_id != newer.id}

    monkeypatch.setattr(home.store, "get", get)

    assert redrive(home) == RedriveReport(sent=1, unanswered=1)
    assert [TaskMessage.from_json(body).task_id for body in left(home)] == [newer.id]


class Broken:
    """A dead-letter queue that hands out and does nothing else."""

    def __init__(self, home: Installation, *, receives: bool = True) -> None:
        self.receive = home.dead_letters.receive if receives else self.refuse

    def refuse(self, *_: object) -> None:
        raise Unavailable("the queue does not answer")

    acknowledge = release = refuse


def test_what_cannot_be_removed_or_given_back_is_no_reason_to_fail(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(home, a_task())
    home.dead_letters.send(LANE, POISON, 0)
    monkeypatch.setattr(home.services.redrive, "_dead_letters", Broken(home))

    assert redrive(home) == RedriveReport(sent=1, poison=1)


def test_a_dead_letter_queue_that_does_not_answer_is_unavailable(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home.services.redrive, "_dead_letters", Broken(home, receives=False))

    with pytest.raises(Unavailable):
        redrive(home)


# -- two at once -------------------------------------------------------------------------------------------------------


@pytest.fixture
def overtaken(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets somebody else do something just before each of the next writes."""

    def by(other: Callable[[], object]) -> None:
        save = home.store.save

        def first_other(changes: Sequence[Change]) -> list[bool | Unavailable]:
            monkeypatch.setattr(home.store, "save", save)
            other()
            return save(changes)

        monkeypatch.setattr(home.store, "save", first_other)

    return by


def test_a_task_that_begins_meanwhile_is_judged_anew(
    home: Installation, overtaken: Callable[[Callable[[], object]], None]
) -> None:
    task = a_task()
    bury(home, task)
    overtaken(lambda: home.services.execute([a_message(task)], lambda: 60.0))

    assert redrive(home) == RedriveReport(removed={"completed": 1})
    assert sent(home) == []


def test_of_two_redrives_at_once_both_leave_nothing_behind(
    home: Installation, overtaken: Callable[[Callable[[], object]], None]
) -> None:
    task = a_task()
    bury(home, task, *(a_task() for _ in range(10)), task)
    overtaken(lambda: redrive(home))

    redrive(home)

    assert left(home) == []
    assert {message.task_id for message in sent(home)} >= {task.id}
    assert home.task(task).sends == 0


def test_a_task_that_others_change_again_and_again_keeps_its_dead_letter(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task()
    bury(home, task)
    monkeypatch.setattr(home.store, "save", lambda changes: [False] * len(changes))

    assert redrive(home) == RedriveReport(unanswered=1)
    assert home.dead_letters.depth(LANE) == 1


# -- callbacks ---------------------------------------------------------------------------------------------------------


def bury_callback(home: Installation, task: Task, number: int = 1) -> None:
    home.store.put([task])
    home.dead_letters.send(CALLBACKS, CallbackMessage(task_id=task.id, number=number).to_json(), 0)


def redrive_callbacks(home: Installation) -> RedriveReport:
    return home.services.redrive.callbacks(limit=1000, remaining=for_ever)


def test_a_callback_that_waits_for_its_try_is_sent_again(home: Installation) -> None:
    task = a_completed_task(callback=a_pending_callback(tries=2), sends=7, due_at=NOW + 10**9)
    bury_callback(home, task, number=3)

    assert redrive_callbacks(home) == RedriveReport(sent=1)

    again = home.task(task)
    assert (again.callback, again.sends, again.due_at) == (task.callback, 0, NOW + 180_000)
    home.deliver()
    delivered = home.task(task).callback
    assert delivered is not None
    assert (delivered.state, delivered.tries) == (CallbackState.DELIVERED, 3)
    assert len(home.http.posted) == 1


def test_a_task_is_kept_until_its_callback_is_looked_after(home: Installation) -> None:
    task = a_completed_task(callback=a_pending_callback(), delete_at=NOW // 1000 + 60)
    bury_callback(home, task)

    redrive_callbacks(home)

    assert (home.task(task).delete_at or 0) > NOW // 1000 + 86_400


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (a_completed_task(callback=a_pending_callback(tries=1)), "pending"),
        (a_completed_task(callback=a_pending_callback(next_at=NOW + 3_600_000)), "pending"),
        (a_completed_task(callback=a_pending_callback(state=CallbackState.DELIVERED, tries=1)), "delivered"),
        (a_completed_task(callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=10)), "undelivered"),
        (a_running_task(callback=a_pending_callback(state=CallbackState.WAITING)), "waiting"),
        (a_completed_task(), "unknown"),
    ],
    ids=["has begun", "far off", "delivered", "undelivered", "not final", "no callback"],
)
def test_a_callback_that_needs_nothing_is_left_alone(home: Installation, task: Task, kind: str) -> None:
    bury_callback(home, task)

    assert redrive_callbacks(home) == RedriveReport(removed={kind: 1})

    assert home.task(task) == task
    assert home.queues.receive(CALLBACKS, 10, 0) == []
    assert home.dead_letters.depth(CALLBACKS) == 0


def test_an_event_of_a_running_task_is_owed_to_nobody(home: Installation) -> None:
    """Its try has the number of the end's first one, which is on its way already."""
    task = a_completed_task(callback=a_pending_callback(), due_at=NOW + 60_000)
    home.store.put([task])
    running = task.evolve(status=Status.RUNNING)
    home.dead_letters.send(CALLBACKS, CallbackMessage.telling(running, CallbackEvent.RUNNING, NOW).to_json(), 0)

    assert redrive_callbacks(home) == RedriveReport(removed={"pending": 1})
    assert home.task(task) == task


def test_what_is_no_callback_stays_with_the_callbacks(home: Installation) -> None:
    home.dead_letters.send(CALLBACKS, a_message().to_json(), 0)

    assert redrive_callbacks(home) == RedriveReport(poison=1)
    assert len(left(home, CALLBACKS)) == 1
