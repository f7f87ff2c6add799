"""Undelivered callbacks, as callers see them."""

import pytest

from api.views import TaskView, UndeliveredView
from tasklane.message import CallbackMessage
from tasklane.task import CallbackState, Status, Task
from tests.support.builders import NOW, a_completed_task, a_pending_callback, a_running_task
from tests.unit.api.conftest import Installation, the_problem


def given_up(at: int = NOW, **changes: object) -> Task:
    return a_completed_task(
        callback=a_pending_callback(state=CallbackState.UNDELIVERED, tries=10), outcome_at=at, **changes
    )


def test_nothing_is_undelivered_at_first(api: Installation) -> None:
    assert api.client.get("/v1/callbacks?state=undelivered").json() == {"callbacks": [], "next_cursor": None}


def test_undelivered_callbacks_are_listed_page_by_page_the_latest_first(api: Installation) -> None:
    tasks = [given_up(NOW - 10 + n) for n in range(5)]
    api.store.put(tasks)
    api.clock.advance(1)

    listed, url = [], "/v1/callbacks?limit=2"
    while True:
        page = UndeliveredView.model_validate_json(api.client.get(url).content)
        listed += [entry.task_id for entry in page.callbacks]
        if page.next_cursor is None:
            break
        url = f"/v1/callbacks?limit=2&cursor={page.next_cursor}"

    assert listed == [task.id for task in reversed(tasks)]
    assert page.callbacks[-1].callback.state == "undelivered"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "state=delivered", "cursor=" + "a" * 201])
def test_a_wrong_parameter_is_named(api: Installation, query: str) -> None:
    problem = the_problem(api.client.get(f"/v1/callbacks?{query}"), 400, "invalid-parameter")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize("cursor", ["nonsense", "e30", "WzEsMl0", "WyIxIiwiYSJd", "%00", "Wy0xLCJhIl0", "bnVsbA"])
def test_a_cursor_of_somebody_elses_is_refused(api: Installation, cursor: str) -> None:
    problem = the_problem(api.client.get(f"/v1/callbacks?cursor={cursor}"), 400, "invalid-parameter")
    assert "cursor" in problem["detail"]


def test_a_callback_can_be_sent_again_from_the_beginning_of_its_schedule(api: Installation) -> None:
    task = given_up()
    api.store.put([task])

    response = api.client.post(f"/v1/tasks/{task.id}/callback/redeliver")

    assert response.status_code == 202
    callback = TaskView.model_validate_json(response.content).callback
    assert callback is not None
    assert (callback.state, callback.tries) == ("pending", 0)
    [delivery] = api.queues.receive(0, 10, 0)
    assert CallbackMessage.from_json(delivery.body).task_id == task.id
    kept = api.store.get([task.id])[task.id]
    assert kept.due_at is not None, "should this message get lost, the sweeper sends another"
    assert api.client.get("/v1/callbacks").json()["callbacks"] == []


def test_a_failed_task_whose_callback_is_sent_again_stays_in_the_list_of_failures(api: Installation) -> None:
    task = given_up(status=Status.FAILED)
    api.store.put([task])

    assert api.client.post(f"/v1/tasks/{task.id}/callback/redeliver").status_code == 202
    assert api.store.get([task.id])[task.id].outcome_at == task.outcome_at


def test_what_has_no_callback_to_send_is_refused(api: Installation) -> None:
    without, running = a_completed_task(), a_running_task(callback=a_pending_callback(state=CallbackState.WAITING))
    api.store.put([without, running])

    for task in (without, running):
        the_problem(api.client.post(f"/v1/tasks/{task.id}/callback/redeliver"), 409, "invalid-transition")
    the_problem(api.client.post("/v1/tasks/unknown/callback/redeliver"), 404, "task-not-found")
    assert api.queues.receive(0, 10, 0) == []
