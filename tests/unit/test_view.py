"""A task in its own words."""

import json

import pytest

from tasklane.task import Status
from tasklane.view import shown_status, task_view
from tests.support.builders import NOW, a_completed_task, a_running_task, a_task, a_task_with_every_field


def test_everything_about_a_task_can_be_said_in_json() -> None:
    view = task_view(a_task_with_every_field(), NOW, payload={"a": 1}, result=None)

    assert json.loads(json.dumps(view)) == view
    assert view["error"] == {"type": "OSError", "message": "nothing left to try 💥"}
    assert [attempt["number"] for attempt in view["attempts"]] == [3, 4]
    assert view["callback"]["history"][1]["error"] == "no answer"
    assert (view["created_at"], view["started_at"]) == ("2025-06-15T15:06:39.999Z", "2025-06-15T15:06:40.004Z")


def test_what_there_is_not_is_null() -> None:
    view = task_view(a_task(), NOW, payload={}, result=None)

    empty = ("result", "error", "progress", "callback", "run_at", "expires_at", "started_at", "finished_at")
    assert [view[name] for name in empty] == [None] * len(empty)
    assert view["timings"] == {"waited_ms": None, "ran_ms": None, "total_ms": None}


def test_timings_are_those_of_its_last_run() -> None:
    done = a_completed_task(created_at=NOW - 500, started_at=NOW, finished_at=NOW + 1000)

    assert task_view(done, NOW, payload={}, result=1)["timings"] == {
        "waited_ms": 500,
        "ran_ms": 1000,
        "total_ms": 1500,
    }


@pytest.mark.parametrize(
    ("run_at", "shown"),
    [(NOW + 1, Status.SCHEDULED), (NOW, Status.PENDING), (NOW - 1, Status.PENDING), (None, Status.PENDING)],
)
def test_a_scheduled_task_whose_time_has_come_is_shown_as_pending(run_at: int | None, shown: Status) -> None:
    assert shown_status(a_task(status=Status.SCHEDULED, run_at=run_at), NOW) is shown


def test_every_other_status_is_shown_as_it_is() -> None:
    assert shown_status(a_running_task(), NOW) is Status.RUNNING
    assert shown_status(a_completed_task(), NOW) is Status.COMPLETED
