"""What happens to a running task is told to those who asked, in order."""

from typing import TYPE_CHECKING

import pytest

from tasklane.context import TaskContext
from tasklane.errors import Continue, InvalidRequest, NonRetryable, RetryLater
from tasklane.message import CallbackMessage
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, Status
from tests.support.builders import NOW
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from tests.unit.callbacks.conftest import URL
from tests.unit.callbacks.events.conftest import BOTH, deliver_all, in_short, stepping, told

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("quick")


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_run_its_progress_and_its_end_are_told_in_order(home: Installation, registry: Registry) -> None:
    registry.task("it")(stepping(home))
    task = home.submit("it", callback_url=URL, callback_events=BOTH, labels={"order": "7"})

    home.work()
    home.deliver()

    assert in_short(home) == [("task.running", 1), ("task.progress", 2), ("task.progress", 3), ("task.completed", 4)]
    running, quarter, half, end = (body["data"] for body in told(home))
    assert [one["status"] for one in (running, quarter, half, end)] == ["running", "running", "running", "completed"]
    assert [one["progress"] and one["progress"]["fraction"] for one in (running, quarter, half)] == [None, 0.25, 0.5]
    assert (running["id"], running["labels"], running["result"]) == (task.id, {"order": "7"}, None)
    assert end["result"] == "done"
    assert [body["timestamp"] for body in told(home)] == ["2025-06-15T15:06:40.000Z"] * 4
    ids = [headers["webhook-id"] for _, _, headers in home.http.posted]
    assert len(set(ids)) == 4
    assert ids[-1] == f"{task.id}-{task.created_at}-1", "an end is named as ever"


def test_only_the_end_is_told_where_nobody_asked_for_more(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        for hundredths in range(30):
            context.progress(hundredths / 100)
            wait_for(lambda: home.store.only().progress)
        assert home.queues.depth(CALLBACKS) == 0

    registry.task("it")(steps)
    home.submit("it", callback_url=URL)
    home.work()
    home.deliver()

    assert in_short(home) == [("task.completed", 2)]


def test_one_may_ask_for_the_beginning_alone(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        context.progress(0.5)
        wait_for(lambda: home.store.only().progress)
        deliver_all(home, 1)

    registry.task("it")(steps)
    home.submit("it", callback_url=URL, callback_events=[CallbackEvent.RUNNING])
    home.work()
    home.deliver()

    assert in_short(home) == [("task.running", 1), ("task.completed", 2)]
    assert told(home)[0]["data"]["progress"] is None, "it tells of the beginning, whenever it is told"


def test_one_may_ask_for_progress_alone(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        context.progress(0.5, "half")
        deliver_all(home, 1)

    registry.task("it")(steps)
    home.submit("it", callback_url=URL, callback_events=[CallbackEvent.PROGRESS])
    home.work()
    home.deliver()

    assert in_short(home) == [("task.progress", 2), ("task.completed", 3)]


def test_numbers_grow_over_attempts_continuations_and_retries_by_hand(home: Installation, registry: Registry) -> None:
    ways: Iterator[Exception | None] = iter(
        [RetryLater("not yet", 0), Continue("on"), NonRetryable("no"), NonRetryable("again no"), None]
    )

    def steps(payload: Nothing, context: TaskContext) -> None:
        stepping(home, [0.5])(payload, context)
        if (error := next(ways)) is not None:
            raise error

    def run() -> None:
        home.work()
        home.deliver()

    registry.task("it")(steps)
    task = home.submit("it", callback_url=URL, callback_events=BOTH)
    for _ in range(3):
        run()
    home.services.manage.retry(task.id)
    run()
    home.services.manage.retry(task.id)
    home.services.manage.cancel(task.id)
    home.deliver()
    home.services.manage.retry(task.id)
    run()

    a_run = ["task.running", "task.progress"]
    ends = ["task.failed", "task.failed", "task.cancelled", "task.completed"]
    types, numbers = zip(*in_short(home), strict=True)
    assert list(types) == [*a_run * 3, ends[0], *a_run, ends[1], ends[2], *a_run, ends[3]]
    assert list(numbers) == sorted(set(numbers)), "strictly greater each time"
    ids = [headers["webhook-id"] for _, _, headers in home.http.posted]
    assert len(set(ids)) == len(ids)


def test_an_end_that_is_sent_again_is_the_same(home: Installation, registry: Registry) -> None:
    registry.task("it")(stepping(home, []))
    task = home.submit("it", callback_url=URL, callback_events=BOTH)
    home.work()
    home.deliver()

    home.services.manage.redeliver(task.id)
    home.deliver()

    assert in_short(home)[1:] == [("task.completed", 2)] * 2
    assert home.http.posted[1][2]["webhook-id"] == home.http.posted[2][2]["webhook-id"]


# -- what is no news ---------------------------------------------------------------------------------------------------


def test_what_is_known_to_be_over_is_not_told(home: Installation, registry: Registry) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        wait_for(lambda: home.queues.depth(CALLBACKS))
        context.progress(0.5)
        wait_for(lambda: home.queues.depth(CALLBACKS) == 2)
        deliver_all(home, 1)

    registry.task("it")(steps)
    task = home.submit("it", callback_url=URL, callback_events=BOTH)
    home.work()
    late = CallbackMessage.telling(home.task(task).evolve(status=Status.RUNNING), CallbackEvent.PROGRESS, NOW)
    report = home.services.deliver_callbacks([late], lambda: 60.0)

    assert in_short(home) == [("task.progress", 2)], "the beginning was no news any more"
    assert (report.told, report.unhandled, home.http.posted[1:]) == (0, frozenset(), [])
    home.deliver()
    assert in_short(home)[1:] == [("task.completed", 3)]


def test_messages_about_nothing_are_handled(home: Installation, registry: Registry) -> None:
    registry.task("it")(stepping(home, []))
    without = home.submit("it")
    messages = [
        CallbackMessage(task_id="gone", number=1, event="running", sequence=1, at=NOW),
        CallbackMessage(task_id=without.id, number=1, event="progress", sequence=0, at=NOW),
        CallbackMessage(task_id=without.id, number=1, event="nonsense", sequence=0, at=NOW),
    ]

    report = home.services.deliver_callbacks(messages, lambda: 60.0)

    assert (report.told, report.delivered, report.failed, report.unhandled) == (0, 0, 0, frozenset())


# -- at nobody's expense -----------------------------------------------------------------------------------------------


def test_events_need_somebody_to_be_told(home: Installation, registry: Registry) -> None:
    registry.task("it")(stepping(home))

    with pytest.raises(InvalidRequest) as refused:
        home.submit("it", callback_events=BOTH)

    assert refused.value.issues[0]["pointer"] == "/callback_events"
