"""The poller of an installation works what it is asked for, and counts it."""

from tasklane.registry import Registry
from tasklane.task import CallbackState, Status
from tests.support.installation import CALLBACKS, Installation
from tests.support.payloads import Anything
from tests.support.waiting import wait_for
from worker.poller import LANES, make_poller


def test_the_poller_of_an_installation_works_tasks_and_callbacks(home: Installation, registry: Registry) -> None:
    @registry.task("echo")
    def echo(payload: Anything) -> None: ...

    tasks = [home.submit("echo", priority=lane, callback_url="https://hooks.example.com/") for lane in LANES]
    poller = make_poller(home.services, callbacks=True, runners=2, wait_seconds=0)
    poller.start()

    try:
        wait_for(lambda: len(home.http.posted) == 5)
        wait_for(lambda: all(t.callback.state is CallbackState.DELIVERED for t in map(home.task, tasks) if t.callback))
    finally:
        poller.stop()
    assert {home.task(task).status for task in tasks} == {Status.COMPLETED}


def test_batches_are_counted(home: Installation, registry: Registry) -> None:
    @registry.task("nothing")
    def nothing(payload: Anything) -> None: ...

    home.submit("nothing", callback_url="https://hooks.example.com/")
    tasks: list[tuple[frozenset[int], int]] = []
    callbacks: list[tuple[frozenset[int], int]] = []
    poller = make_poller(
        home.services,
        callbacks=True,
        wait_seconds=0,
        count_tasks=lambda unhandled, report: tasks.append((unhandled, len(report.outcomes))),
        count_callbacks=lambda unhandled, report: callbacks.append((unhandled, report.delivered)),
    )
    poller.start()
    try:
        wait_for(lambda: tasks and callbacks)
    finally:
        poller.stop()
    assert (tasks, callbacks) == ([(frozenset(), 1)], [(frozenset(), 1)])


def test_lanes_are_left_alone_where_only_callbacks_were_asked_for(home: Installation) -> None:
    poller = make_poller(home.services, lanes=False, callbacks=True)

    assert set(poller._handlers) == {CALLBACKS}


def test_callbacks_are_left_alone_where_nobody_asked_for_them(home: Installation) -> None:
    poller = make_poller(home.services)

    assert CALLBACKS not in poller._handlers
