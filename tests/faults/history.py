"""What must hold for every state that a task ever had (promises 2 and 3), read from the proxy's journal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tasklane.task import REOPENINGS, TRANSITIONS, Task
from tests.faults.figures import Figures
from tests.faults.installation import Installation
from tests.faults.recovery import has_ended

OUTCOME = ("status", "run", "result", "error", "finished_at", "started_at", "attempts")
"""What no write may change once a task is final."""


def backward_steps(journal: Mapping[str, Sequence[Task]]) -> list[str]:
    """Every step that a status or a run number took backwards, in words."""
    return [
        f"{before.status} (run {before.run}) → {after.status} (run {after.run}) of task {before.id}"
        for states in journal.values()
        for before, after in pairwise(states)
        if not _is_forward(before, after)
    ]


def outcomes(journal: Mapping[str, Sequence[Task]]) -> dict[str, int]:
    """How many outcomes each task ever had: the final state it reached, and every change of that.

    Of one that was retried by hand, the most that it had each time.
    """
    return {task_id: _outcomes(states) for task_id, states in journal.items()}


def _is_forward(before: Task, after: Task) -> bool:
    step = before.status is after.status or after.status in TRANSITIONS[before.status]
    if after.reopened_at != before.reopened_at:  # retried by hand
        step = REOPENINGS.get(before.status) is after.status
    claims_once = after.run - before.run in (0, 1)
    return step and claims_once


def _outcomes(states: Sequence[Task]) -> int:
    seen = [
        (state.reopened_at, tuple(getattr(state, name) for name in OUTCOME)) for state in states if state.status.final
    ]
    counts = Counter(after[0] for before, after in pairwise([None, *seen]) if after and before != after)
    return max(counts.values(), default=0)


def figures(installation: Installation, tasks: Sequence[Task], *, since: int | None = None) -> Figures:
    """What became of ``tasks``; ``since`` is when the fault happened."""
    now = {task.id: task for task in installation.tasks(tasks)}
    written = installation.journal
    journal = {task.id: written[task.id] for task in tasks}
    doubled = [task_id for task_id, count in outcomes(journal).items() if count > 1]
    ends = [task.finished_at for task in now.values() if task.finished_at is not None]
    ends += [task.callback.history[-1].started_at for task in now.values() if task.callback and task.callback.history]
    return Figures(
        tried=len(tasks),
        lost=sum(task.id not in now or not has_ended(now[task.id]) for task in tasks),
        doubled=len(doubled) + len(backward_steps(journal)),
        recovered_ms=None if since is None else max([since, *ends]) - since,
    )


def added(parts: Sequence[Figures]) -> Figures:
    """The figures of several trials of the same fault; the slowest recovery counts."""
    times = [one.recovered_ms for one in parts if one.recovered_ms is not None]
    return Figures(
        tried=sum(one.tried for one in parts),
        lost=sum(one.lost for one in parts),
        doubled=sum(one.doubled for one in parts),
        recovered_ms=max(times, default=None),
    )
