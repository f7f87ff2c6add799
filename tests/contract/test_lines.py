"""What every task store promises about lines: who stands there, and in which order."""

from typing import Final

import pytest

from tasklane.line import rate_line
from tasklane.message import TaskMessage
from tasklane.ports import Change, Claim, TaskStore
from tasklane.task import Status, Task
from tasklane.throttle import TimeSlot
from tasklane.timing import Timing
from tasklane.transitions import cancelled, held, let_go, put_off
from tests.support.builders import NOW, a_claim, a_task

TIMING: Final = Timing()
LINE: Final = "pause:lane:3"


def standing(store: TaskStore, line: str = LINE, **fields: object) -> Task:
    task = a_task(**fields)
    store.put([task])
    after = held(task, line, NOW, TIMING)
    assert store.save([Change(before=task, after=after, unchanged=("status", "run", "line"))]) == [True]
    return after


def test_a_line_has_the_highest_priority_first_and_then_who_came_first(empty_store: TaskStore) -> None:
    low = standing(empty_store, priority=1, created_at=NOW - 9000)
    later = [standing(empty_store, priority=3, created_at=NOW + n) for n in (30, 10, 20)]
    high = standing(empty_store, priority=5, created_at=NOW + 60_000)

    order = [high, later[1], later[2], later[0], low]
    assert empty_store.in_line(LINE, 10) == [task.id for task in order]
    assert empty_store.in_line(LINE, 2) == [task.id for task in order[:2]]


def test_of_those_who_came_together_each_is_there_once(empty_store: TaskStore) -> None:
    tasks = [standing(empty_store) for _ in range(40)]

    assert sorted(empty_store.in_line(LINE, 100)) == sorted(task.id for task in tasks)
    assert len(set(empty_store.in_line(LINE, 7))) == 7


@pytest.mark.parametrize(
    "other", ["pause:lane:30", "pause:lane:", "pause:type:lane:3", "pause:lane:3#1", "Pause:lane:3"]
)
def test_lines_with_other_names_are_other_lines(empty_store: TaskStore, other: str) -> None:
    standing(empty_store, other)

    assert empty_store.in_line(LINE, 10) == []
    assert len(empty_store.in_line(other, 10)) == 1


def test_a_task_that_stands_in_a_line_reads_as_it_was_written(store: TaskStore) -> None:
    task = standing(store, "pause:type:Größe#5 / x")

    assert store.get([task.id])[task.id] == task


def test_who_is_let_go_cancelled_or_claimed_stands_there_no_more(empty_store: TaskStore) -> None:
    one, two, three = (standing(empty_store) for _ in range(3))

    changes = [
        Change(before=one, after=let_go(one, NOW, TIMING), unchanged=("status", "run", "line")),
        Change(before=two, after=cancelled(two, NOW, TIMING), unchanged=("status", "run", "line")),
    ]
    assert empty_store.save(changes) == [True, True]
    (claimed,) = empty_store.claim([a_claim(three)])

    assert isinstance(claimed, Task)
    assert (claimed.status, claimed.line) == (Status.RUNNING, None)
    assert empty_store.in_line(LINE, 10) == []


def test_in_the_line_of_a_rate_the_longest_reserved_come_first(empty_store: TaskStore) -> None:
    tasks = [a_task(priority=1 + n % 5) for n in range(6)]
    empty_store.put(tasks)
    slots = [TimeSlot(at=NOW + 9000 - n, key="a/ b", reserved_on=NOW + n // 2) for n in (4, 1, 5, 0, 3, 2)]
    after = [put_off(task, slot, NOW, TIMING) for task, slot in zip(tasks, slots, strict=True)]
    changes = [
        Change(before=one, after=two, unchanged=("status", "run", "line"))
        for one, two in zip(tasks, after, strict=True)
    ]
    assert empty_store.save(changes) == [True] * 6

    order = sorted(after, key=lambda task: (task.reserved_on, task.reserved_at))
    assert empty_store.in_line(rate_line("a/ b"), 10) == [task.id for task in order]
    assert empty_store.in_line(rate_line("a/ b"), 2) == [task.id for task in order[:2]]
    assert empty_store.get([order[0].id]) == {order[0].id: order[0]}
    (claimed,) = empty_store.claim([a_claim(order[0])])
    assert isinstance(claimed, Task)
    assert empty_store.in_line(rate_line("a/ b"), 1) == [order[1].id]


def test_of_two_who_let_a_task_go_one_is_refused(store: TaskStore) -> None:
    task = standing(store)
    changes = [
        Change(
            before=task,
            after=let_go(task, NOW, TIMING).evolve(lease_id=lease_id),
            unchanged=("status", "run", "line"),
        )
        for lease_id in ("aaaa0000", "bbbb1111")
    ]

    assert [store.save([change])[0] for change in changes] == [True, False]


def test_a_message_from_before_the_line_still_starts_the_task_once(store: TaskStore) -> None:
    """A worker that does not know of the pause yet; the task has moved on when it is let go."""
    task = standing(store)
    claim = a_claim(task)

    assert isinstance(store.claim([claim])[0], Task)
    again = Claim(message=TaskMessage.of(task), now=NOW, lease_id="other000", lease_until=NOW + 1)
    assert store.claim([again]) == [None]
