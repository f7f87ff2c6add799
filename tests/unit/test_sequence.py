"""Every event that callbacks tell of a task has a greater number than all before, whatever becomes of the task."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from tasklane import transitions
from tasklane.task import Callback, CallbackEvent, Progress, Status, Task
from tasklane.timing import Timing
from tests.support.builders import NOW, a_document, a_task, an_error

TIMING: Final = Timing()
Step: TypeAlias = tuple[bool, Callable[[Task, int], Task]]
"""Whether callbacks tell of it, and what it makes of a task."""


def begun(task: Task, now: int) -> Task:
    return transitions.begun(task, run=task.run + 1, now=now, lease_id="a", lease_until=now, due_at=None)


def got_on(task: Task, now: int) -> Task:
    said = task.evolve(progress=Progress(fraction=(now - NOW) / 1000))
    return transitions.renewed(transitions.announced(task, said), now, TIMING)


def alive(task: Task, now: int) -> Task:
    return transitions.renewed(transitions.announced(task, task), now, TIMING)


def rescheduled(task: Task, now: int) -> Task:
    return transitions.rescheduled(task, run_at=now + 9, priority=1, now=now, timing=TIMING)


def failed(task: Task, now: int, *, retry_at: int | None = None) -> Task:
    return transitions.attempt_failed(task, an_error(), now, TIMING, retry_at=retry_at)


WAITING: Final[Sequence[Step]] = [
    (True, begun),
    (True, begun),
    (False, rescheduled),
    (True, lambda task, now: transitions.cancelled(task, now, TIMING)),
    (True, lambda task, now: transitions.expired(task, now, TIMING)),
]
RUNNING: Final[Sequence[Step]] = [
    (True, got_on),
    (True, got_on),
    (False, alive),
    (False, lambda task, now: transitions.continued(task, None, now + 5, now, TIMING)),
    (False, lambda task, now: failed(task, now, retry_at=now + 5)),
    (True, failed),
    (True, lambda task, now: transitions.cancelled(task, now, TIMING)),
    (True, lambda task, now: transitions.completed(task, a_document(), now, TIMING)),
]
OVER: Final[Sequence[Step]] = [(False, lambda task, now: transitions.reopened(task, now, TIMING))]


def steps_from(status: Status) -> Sequence[Step]:
    if status.waiting:
        return WAITING
    return RUNNING if status is Status.RUNNING else OVER


@given(st.lists(st.integers(0, 7), max_size=60))
def test_numbers_only_grow(choices: list[int]) -> None:
    task = a_task(callback=Callback(url="https://a.example/", events=tuple(CallbackEvent)))
    numbers: list[int] = []

    for moment, choice in enumerate(choices, start=1):
        if task.status is Status.COMPLETED:
            break
        steps = steps_from(task.status)
        told, step = steps[choice % len(steps)]
        task = step(task, NOW + moment)
        if told:
            numbers.append(task.sequence)

    assert numbers == sorted(set(numbers))
    assert all(number >= 1 for number in numbers)


def test_what_nobody_asked_for_is_not_counted() -> None:
    task = begun(a_task(callback=Callback(url="https://a.example/", events=(CallbackEvent.RUNNING,))), NOW)

    assert got_on(task, NOW + 1).callback == task.callback
    assert got_on(task.evolve(callback=None), NOW + 1).callback is None
