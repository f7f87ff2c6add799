"""Outcomes are written with patience, and what somebody else changed first is dropped."""

import logging

import pytest

from tasklane.save import PAUSES, save_patiently
from tasklane.task import Status
from tests.support.builders import a_change, a_running_task
from tests.support.installation import UnreliableStore


def test_what_is_taken_at_once_is_written_without_a_pause() -> None:
    store, slept = UnreliableStore(), list[float]()
    tasks = [a_running_task() for _ in range(3)]
    store.put(tasks)
    changes = [a_change(task, status=Status.COMPLETED) for task in tasks]

    assert save_patiently(store, changes, slept.append) == [change.after for change in changes]
    assert (slept, len(store.saved)) == ([], 1)


def test_what_is_refused_is_written_after_a_pause() -> None:
    store, slept = UnreliableStore(), list[float]()
    task = a_running_task()
    store.put([task])
    store.refuse("save", 2)

    assert save_patiently(store, [a_change(task, status=Status.FAILED)], slept.append) == [store.only()]
    assert slept == list(PAUSES[:2])
    assert store.only().status is Status.FAILED


def test_what_stays_refused_is_left_to_the_sweeper(caplog: pytest.LogCaptureFixture) -> None:
    store, slept = UnreliableStore(), list[float]()
    task = a_running_task()
    store.put([task])
    store.refuse("save", 99)

    assert save_patiently(store, [a_change(task, status=Status.FAILED)], slept.append) == []
    assert slept == list(PAUSES)
    assert (caplog.records[-1].levelno, caplog.records[-1].__dict__["action"]) == (logging.ERROR, "save_failed")
    assert caplog.records[-1].__dict__["task_ids"] == [task.id]


def test_what_somebody_else_changed_is_dropped_and_the_rest_written(caplog: pytest.LogCaptureFixture) -> None:
    store = UnreliableStore()
    lost, mine = a_running_task(), a_running_task()
    store.put([lost, mine])
    store.save([a_change(lost, status=Status.CANCELLED)])

    written = save_patiently(store, [a_change(task, status=Status.COMPLETED) for task in (lost, mine)])

    assert [task.id for task in written] == [mine.id]
    assert store.get([lost.id])[lost.id].status is Status.CANCELLED
    assert [(one.__dict__["action"], one.__dict__["task_id"]) for one in caplog.records] == [("run_lost", lost.id)]


def test_nothing_to_write_asks_nobody() -> None:
    store = UnreliableStore()

    assert save_patiently(store, []) == []
    assert store.saved == []
