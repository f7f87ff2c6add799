"""What happens to a running task is told to those who asked, in order, and at the expense of nothing else."""

import json
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tasklane.announce import Announcer
from tasklane.context import TaskContext
from tasklane.errors import Continue, InvalidRequest, NonRetryable, RetryLater, Unavailable
from tasklane.message import CallbackMessage
from tasklane.ports import Change, HttpResponse
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, CallbackState, Status, Task
from tests.support.builders import NOW
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for

URL = "https://hooks.example.com/done"
BOTH = (CallbackEvent.RUNNING, CallbackEvent.PROGRESS)
OK = HttpResponse(status_code=200, headers={}, body=b"")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks up all the time, so that no test has to wait for it."""
    monkeypatch.setattr("tasklane.watch.WATCH_SECONDS", 0.005)
    monkeypatch.setattr("tasklane.watch.NEWS_SECONDS", 0.0)


def told(home: Installation) -> list[dict[str, Any]]:
    """What was posted, in the order in which it was."""
    return [json.loads(body) for _, body, _ in home.http.posted]


def in_short(home: Installation) -> list[tuple[str, int]]:
    return [(body["type"], body["sequence"]) for body in told(home)]


def deliver_all(home: Installation, wanted: int) -> None:
    """Deliver what comes until so much was posted."""

    def enough() -> bool:
        home.deliver()
        return len(home.http.posted) >= wanted

    wait_for(enough)


def stepping(home: Installation, fractions: Sequence[float] = (0.25, 0.5)) -> Callable[..., str]:
    """A handler that lets each of its words be told before it says the next."""

    def steps(payload: Nothing, context: TaskContext) -> str:
        before = len(home.http.posted)
        deliver_all(home, before + 1)
        for number, fraction in enumerate(fractions, start=2):
            context.progress(fraction, f"step {number}")
            deliver_all(home, before + number)
        return "done"

    return steps


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


# -- what does not succeed ---------------------------------------------------------------------------------------------


@pytest.fixture
def running(home: Installation, registry: Registry) -> Iterator[Task]:
    """A task that runs on and on, whose beginning is on its way to be told."""
    let_go = threading.Event()

    def on_and_on(payload: Nothing) -> None:
        let_go.wait(20)

    def nothing(payload: Nothing) -> None:
        """Runs never: it is cancelled before."""

    registry.task("long")(on_and_on)
    registry.task("nothing", priority=1)(nothing)
    task = home.submit("long", callback_url=URL, callback_events=BOTH)
    worker = threading.Thread(target=home.work)
    worker.start()
    wait_for(lambda: home.queues.depth(CALLBACKS))
    yield task
    let_go.set()
    worker.join()


@pytest.mark.parametrize(
    "answer", [HttpResponse(status_code=503, headers={}, body=b""), Unavailable("no answer"), RuntimeError("a fault")]
)
def test_an_event_is_tried_a_few_times_and_then_forgotten(home: Installation, running: Task, answer: Any) -> None:
    def refuse(url: str) -> HttpResponse:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    home.http._answer = refuse
    for pause in (5, 65):
        assert home.deliver().told == 0
        assert home.deliver().told == 0, "not before its time"
        home.clock.advance(pause)
    home.deliver()

    assert home.queues.depth(CALLBACKS) == 0
    assert len(home.http.posted) == (3 if isinstance(answer, HttpResponse) else 2), "who is silent is left alone"
    assert len({(body, headers["webhook-id"]) for _, body, headers in home.http.posted}) == 1
    callback = home.task(running).callback
    assert callback is not None
    assert (callback.tries, callback.history, callback.state) == (0, (), CallbackState.WAITING)


@pytest.mark.parametrize(("after", "more"), [("60", 1), ("7200", 0)])
def test_a_receiver_may_ask_for_a_longer_pause(home: Installation, running: Task, after: str, more: int) -> None:
    home.http._answer = lambda url: HttpResponse(status_code=429, headers={"retry-after": after}, body=b"")
    home.deliver()

    assert home.queues.depth(CALLBACKS) == more
    home.clock.advance(59)
    home.deliver()
    assert len(home.http.posted) == 1
    home.clock.advance(2)
    home.deliver()
    assert len(home.http.posted) == 1 + more


@pytest.mark.parametrize(("code", "strict"), [(410, None), (404, True)])
def test_a_receiver_that_wants_none_gets_the_end_all_the_same(
    home: Installation, running: Task, code: int, strict: Any
) -> None:
    home.http._answer = lambda url: HttpResponse(status_code=code, headers={}, body=b"")
    now = home.task(running)
    assert now.callback is not None
    home.store.save([Change(before=now, after=now.evolve(callback=replace(now.callback, give_up_on_4xx=strict)))])

    home.deliver()

    assert home.queues.depth(CALLBACKS) == 0
    home.services.manage.cancel(running.id)
    callback = home.task(running).callback
    assert callback is not None
    assert callback.state is CallbackState.WAITING


def test_an_event_gets_less_time_than_an_end(home: Installation, running: Task) -> None:
    asked: list[float] = []
    post = home.http.post

    def timed(url: str, body: bytes, headers: Any, timeout_seconds: float) -> HttpResponse:
        asked.append(timeout_seconds)
        return post(url, body, headers, timeout_seconds)

    home.http.post = timed  # type: ignore[method-assign]
    home.deliver()

    assert asked == [2.0]


def test_a_slow_receiver_of_an_event_keeps_no_end_from_being_written(
    home: Installation, registry: Registry, running: Task
) -> None:
    done = home.submit("nothing", callback_url="https://other.example.com/")

    def written() -> bool:
        callback = home.task(done).callback
        return callback is not None and callback.state is CallbackState.DELIVERED

    def answer(url: str) -> HttpResponse:
        if url == URL:
            wait_for(written)
        return OK

    home.http._answer = answer
    home.services.manage.cancel(done.id)
    report = home.deliver()

    assert (report.delivered, report.told) == (1, 1)


def test_a_receiver_that_is_silent_is_asked_no_more_for_a_while(home: Installation, running: Task) -> None:
    message = CallbackMessage.telling(home.task(running), CallbackEvent.RUNNING, NOW)
    other = home.task(running)

    def silent(url: str) -> HttpResponse:
        raise Unavailable("no answer")

    home.http._answer = silent
    deliver = home.services.deliver_callbacks
    deliver([message], lambda: 60.0)
    deliver([message], lambda: 60.0)
    assert len(home.http.posted) == 1
    home.clock.advance(61)
    home.http._answer = None
    assert deliver([CallbackMessage.telling(other, CallbackEvent.RUNNING, NOW)], lambda: 60.0).told == 1


def elsewhere(home: Installation, task: Task) -> CallbackMessage:
    """Another receiver is to be told of the task's last event."""
    now = home.task(task)
    assert now.callback is not None
    moved = now.evolve(callback=replace(now.callback, url="https://other.example.com/"))
    home.store.save([Change(before=now, after=moved)])
    return CallbackMessage.telling(moved, CallbackEvent.RUNNING, NOW)


def test_a_process_that_events_have_kept_for_long_tells_none_for_ten_times_as_long(
    home: Installation, running: Task
) -> None:
    """Many receivers may be slow, each in its turn: ends get most of the process's time all the same."""
    deliver = home.services.deliver_callbacks
    assert home.deliver().told == 1
    message = elsewhere(home, running)

    deliver._tell.has_taken(0.4)
    assert deliver([message], lambda: 60.0).told == 1, "that was not long"
    deliver._tell.has_taken(2.0)
    home.clock.advance(19)
    assert deliver([message], lambda: 60.0).told == 0
    assert home.queues.depth(CALLBACKS) == 1, "put off"
    home.clock.advance(1)
    assert deliver([message], lambda: 60.0).told == 1


def test_the_time_that_events_take_is_measured(
    home: Installation, running: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.tell.LONG_SECONDS", 0.0)
    monkeypatch.setattr("tasklane.tell.REST", 10**9)

    assert home.deliver().told == 1

    assert home.services.deliver_callbacks([elsewhere(home, running)], lambda: 60.0).told == 0
    home.clock.advance(10**12)
    assert home.services.deliver_callbacks([elsewhere(home, running)], lambda: 60.0).told == 1


def test_without_a_secret_events_are_dropped_and_ends_come_again(
    home: Installation, registry: Registry, running: Task
) -> None:
    class NoSecrets:
        def current(self, tenants: Collection[str]) -> dict[str, Any]:
            return dict.fromkeys(tenants, Unavailable("throttled"))

    deliver = home.services.deliver_callbacks
    secrets, deliver._secrets = deliver._secrets, NoSecrets()
    done = home.submit("nothing", callback_url=URL)
    home.services.manage.cancel(done.id)

    assert home.deliver().unhandled == frozenset({1})

    deliver._secrets = secrets
    home.deliver()
    assert in_short(home) == [("task.cancelled", 1)]


# -- at nobody's expense -----------------------------------------------------------------------------------------------


class Hanging:
    """The callback queue; it takes events only when it is let go on."""

    def __init__(self, home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        self.asked: list[int] = []
        self._send = home.services.callback_queue.send
        monkeypatch.setattr(home.services.callback_queue, "send", self.send)
        monkeypatch.setattr("tasklane.announce.SETTLE_SECONDS", 0.05)

    def send(self, messages: Sequence[CallbackMessage]) -> Any:
        if messages[0].event is None:
            return self._send(messages)
        self.asked.append(len(messages))
        self.let_go.wait(20)
        raise RuntimeError("the connection broke")

    def end(self) -> None:
        self.let_go.set()
        for thread in threading.enumerate():
            if thread.name == "announce":
                thread.join()


def test_a_queue_that_does_not_answer_holds_up_no_task(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(payload: Nothing, context: TaskContext) -> None:
        for hundredths in range(20):
            context.progress(hundredths / 100)
            wait_for(lambda: home.store.only().progress == context.last_progress())

    queue = Hanging(home, monkeypatch)
    registry.task("it")(steps)
    task = home.submit("it", callback_url=URL, callback_events=BOTH)
    home.work()

    assert home.task(task).status == "completed"
    assert [thread.name for thread in threading.enumerate()].count("announce") == 1
    queue.end()
    assert queue.asked == [1, 20], "what came meanwhile went together"
    home.deliver()
    assert [name for name, _ in in_short(home)] == ["task.completed"]


def test_not_too_much_waits_for_a_queue_that_does_not_answer(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(payload: Nothing) -> None:
        """Ends at once."""

    monkeypatch.setattr("tasklane.announce.MAX_WAITING", 4)
    queue = Hanging(home, monkeypatch)
    registry.task("nothing")(nothing)
    home.submit("nothing", callback_url=URL, callback_events=BOTH)
    home.work()
    for size in (3, 2, 1):
        tasks = [home.submit("nothing", callback_url=URL, callback_events=BOTH) for _ in range(size)]
        home.work()
        assert {home.task(task).status for task in tasks} == {"completed"}
    queue.end()

    assert queue.asked == [1, 4], "three, then not two more, then one more"


def test_a_process_that_can_start_no_thread_does_its_work_all_the_same(
    home: Installation, running: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    announcer = Announcer(callback_queue=home.services.callback_queue, clock=home.clock)
    before = home.queues.depth(CALLBACKS)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        announcer.announce(CallbackEvent.RUNNING, [home.task(running)])
    assert home.queues.depth(CALLBACKS) == before

    announcer.announce(CallbackEvent.RUNNING, [home.task(running)])
    announcer.settle()
    assert home.queues.depth(CALLBACKS) == before + 1, "that one, and not the one before"


def test_a_queue_that_refuses_holds_up_no_task(
    home: Installation, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = home.services.callback_queue.send

    def refuse(messages: Sequence[CallbackMessage]) -> Any:
        return [Unavailable("throttled")] * len(messages) if messages[0].event else send(messages)

    monkeypatch.setattr(home.services.callback_queue, "send", refuse)

    @registry.task("it")
    def it(payload: Nothing) -> str:
        return "done"

    task = home.submit("it", callback_url=URL, callback_events=BOTH)
    home.work()
    home.deliver()

    assert home.result(task) == "done"
    assert in_short(home) == [("task.completed", 2)]


def test_events_need_somebody_to_be_told(home: Installation, registry: Registry) -> None:
    registry.task("it")(stepping(home))

    with pytest.raises(InvalidRequest) as refused:
        home.submit("it", callback_events=BOTH)

    assert refused.value.issues[0]["pointer"] == "/callback_events"
