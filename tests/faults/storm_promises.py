"""What must be so when the storm is over: each promise by itself."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tasklane.bootstrap import Services
from tasklane.errors import TasklaneError, Unavailable
from tasklane.task import CallbackState, Status, Task
from tests.faults.history import outcomes
from tests.faults.receiver import NEVER
from tests.faults.storm_tasks import ERRORS, Kind, Wish, refusals
from tests.faults.storm_types import AT_ONCE, GATE, PER_SECOND, STAGES, Notes
from tests.faults.test_bad_input import POISON

if TYPE_CHECKING:
    from tests.faults.test_storm import Storm


def assert_accepted_means_kept(storm: "Storm", now: Sequence[Task]) -> None:
    """Promise 1: each has come to the end that it had to come to, and what it gave is there."""
    assert len({task.id for task in storm.tasks}) == len(storm.wishes) == len(now)
    for task in now:
        wish = storm.by_id[task.id]
        assert task.status is wish.end, f"{wish}: {task}"
        if wish.kind in ERRORS:
            assert task.error is not None
            assert task.error.type in (ERRORS[wish.kind], "AttemptLost"), task
        if wish.kind is Kind.BROUGHT_FORWARD:
            assert task.priority == 5
        if task.status is Status.COMPLETED:
            assert task.result is not None
            assert _is_right(wish, task, json.loads(storm.services.read.text(task.result))), f"{wish}: {task}"


def _is_right(wish: Wish, task: Task, result: Any) -> bool:
    match wish.kind:
        case Kind.PACED | Kind.GATED:
            return bool(result == wish.number)
        case Kind.STAGED:
            return bool(result == [wish.number] * STAGES)
        case Kind.OUTSIDE:
            return bool(result == {"token": task.ended_by})
    return bool(result["square"] == wish.number**2)


def assert_outcomes_exactly_once(storm: "Storm", now: Sequence[Task]) -> None:
    """Promise 3, and what limits and pauses promise about the runs themselves."""
    assert set(outcomes(storm.installation.journal).values()) == {1}
    retried = [task for task in now if storm.by_id[task.id].kind is Kind.RETRIED]
    assert all(task.reopened_at is not None and task.attempt >= 2 for task in retried)
    assert storm.began_while_paused == 0
    assert 0 < storm.most[GATE] <= AT_ONCE
    assert storm.services.limits.get(GATE).in_use == 0
    notes = Notes(folder=storm.installation.folder)
    spans = notes.spans()
    assert max(sum(one.began <= span.began < (one.ended or one.began) for one in spans) for span in spans) <= AT_ONCE
    starts = notes.starts()
    allowed = [1 + (at - storm.since) * PER_SECOND / 1000 for at in starts]
    assert all(count <= most for count, most in zip(itertools.count(1), allowed, strict=False)), starts


def assert_delivered_or_listed(storm: "Storm", now: Sequence[Task]) -> None:
    """Promise 4."""
    undelivered: set[str] = set()
    for task in now:
        wish = storm.by_id[task.id]
        assert task.callback is not None
        told = task.status.value in storm.receiver.told[task.id]
        if task.callback.state is CallbackState.UNDELIVERED:
            undelivered.add(task.id)
            assert wish.must_call_back is not None or wish.kind is Kind.UNREACHABLE, task
        else:
            assert task.callback.state is CallbackState.DELIVERED
            assert told, task
    assert len(undelivered) >= sum(wish.must_call_back is not None for wish in storm.wishes)
    assert {task.id for task in _all_undelivered(storm.services)} == undelivered
    answers = Counter(status for one in storm.receiver.answered.values() for status in one)
    assert all(answers[status] >= 5 for status in (NEVER, 204, 410, 500)), answers


def _all_undelivered(services: Services) -> Iterator[Task]:
    page = services.list_callbacks.undelivered(100)
    yield from page.tasks
    while page.next is not None:
        page = services.list_callbacks.undelivered(100, page.next)
        yield from page.tasks


def assert_bad_input_is_refused_or_a_dead_letter(
    storm: "Storm", refused: Sequence[type[TasklaneError]], dead: Sequence[str]
) -> None:
    """Promise 5."""
    assert len(refused) == len(refusals())
    assert Unavailable not in refused
    assert storm.installation.journal.keys() == {task.id for task in storm.tasks}
    assert set(filter(None, POISON)) <= set(dead)


def assert_nobody_got_in(storm: "Storm", now: Sequence[Task]) -> None:
    """Promise 6, as far as it is about outbound calls."""
    assert storm.trap.connections == 0
    for task in now:
        if storm.by_id[task.id].kind is Kind.UNREACHABLE:
            assert task.callback is not None
            assert all("not a public address" in (one.error or "") for one in task.callback.history)
            assert task.callback.history
