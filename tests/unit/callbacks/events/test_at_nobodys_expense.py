"""Telling events holds up no task, whatever the callback queue or the process does."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tasklane.announce import Announcer
from tasklane.context import TaskContext
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, Task
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Nothing
from tests.support.waiting import wait_for
from tests.unit.callbacks.conftest import URL
from tests.unit.callbacks.events.conftest import BOTH, in_short

pytestmark = pytest.mark.usefixtures("quick")


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
