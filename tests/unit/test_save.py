"""Outcomes are written with patience, and what somebody else changed first is dropped."""

import logging
from itertools import islice

import pytest

from tasklane.errors import Unavailable
from tasklane.save import LAST_TRY_SECONDS, PAUSES, patiently, pauses_while, save_patiently
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


def test_the_last_pause_serves_for_all_that_follow_as_long_as_there_is_time() -> None:
    assert list(islice(pauses_while(lambda: 900.0), 7)) == [*PAUSES, PAUSES[-1], PAUSES[-1], PAUSES[-1]]


def test_the_last_try_is_made_just_before_time_is_up() -> None:
    left = iter([10.0, 9.8, LAST_TRY_SECONDS + 0.5, LAST_TRY_SECONDS])

    assert list(pauses_while(lambda: next(left))) == [PAUSES[0], PAUSES[1], 0.5]


def test_what_stays_unavailable_is_let_through_after_the_last_try() -> None:
    slept, tried = list[float](), list[int]()

    def call() -> None:
        tried.append(1)
        raise Unavailable("throttled")

    with pytest.raises(Unavailable):
        patiently(call, [1.0, 2.0], slept.append)
    assert (len(tried), slept) == (3, [1.0, 2.0])
