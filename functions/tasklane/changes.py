"""A shared step: changes that are told apart, and which of them were written."""

from collections.abc import Iterable, Sequence

from tasklane.errors import Unavailable
from tasklane.ids import new_lease_id
from tasklane.ports import Change
from tasklane.task import Status, Task


def own_change(before: Task, after: Task, *guards: str, by_hand: bool = False) -> Change:
    """A change that only its author can have written, if ``guards`` are unchanged besides status, run and line.

    Whoever moves a task between lane and line changes neither its status nor its run: a task that was called off
    meanwhile would stand in that line for ever.

    Two may decide the same in the same millisecond. An id in ``lease_id`` tells whose write it was, so that only one of
    them sends what follows. A run that goes on keeps the id of its lease, which is its own already.
    """
    if after.status is not Status.RUNNING:
        after = after.evolve(lease_id=new_lease_id())
    return Change(before=before, after=after, unchanged=("status", "run", "line", *guards), by_hand=by_hand)


def written(changes: Iterable[Change], answers: Sequence[bool | Unavailable]) -> list[Change]:
    """Those of ``changes`` that the store has taken; what follows from them may be sent."""
    return [change for change, answer in zip(changes, answers, strict=True) if answer is True]


def tasks_after(changes: Iterable[Change]) -> list[Task]:
    """The tasks as these changes leave them."""
    return [change.after for change in changes]
