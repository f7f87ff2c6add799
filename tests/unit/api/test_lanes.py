"""Lanes, their depths and their dead letters, as callers see them."""

from typing import Any

import pytest

from api.views import CallbackRedriveView, LaneRedriveView, LanesView, LaneView
from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage
from tasklane.task import Status
from tests.support.builders import NOW, a_completed_task, a_message, a_pending_callback, a_task
from tests.unit.api.conftest import Installation, an_installation, the_problem

NO_LANES = ("0", "6", "-1", "three", "3.5", "%33%00", "x" * 500)


def bury(api: Installation, lane: int, *bodies: str) -> None:
    for body in bodies:
        api.dead_letters.send(lane, body, 0)


def test_lanes_are_listed_with_their_depths_the_highest_priority_first(api: Installation) -> None:
    for _ in range(3):
        api.submitted(priority=5)
    api.submitted(priority=5, delay_seconds=60)
    api.queues.receive(5, 1, 0)
    bury(api, 5, "x")
    bury(api, 0, "y", "z")

    listed = LanesView.model_validate_json(api.client.get("/v1/lanes").content)

    assert [one.lane for one in listed.lanes] == [5, 4, 3, 2, 1]
    assert listed.lanes[0] == LaneView(lane=5, paused_since=None, waiting=2, delayed=1, in_flight=1, dead_letters=1)
    assert listed.lanes[1] == LaneView(lane=4, paused_since=None, waiting=0, delayed=0, in_flight=0, dead_letters=0)
    assert (listed.callbacks.waiting, listed.callbacks.dead_letters) == (0, 2)


def test_a_dead_letter_counts_also_while_somebody_looks_at_it(api: Installation) -> None:
    bury(api, 2, "x")
    api.dead_letters.receive(2, 1, 0)

    assert api.client.get("/v1/lanes/2").json()["dead_letters"] == 1


def test_one_lane_can_be_seen(api: Installation) -> None:
    api.submitted()

    lane = api.client.get("/v1/lanes/3").json()

    assert lane == {"lane": 3, "paused_since": None, "waiting": 1, "delayed": 0, "in_flight": 0, "dead_letters": 0}


@pytest.mark.parametrize("lane", NO_LANES)
def test_there_are_no_other_lanes(api: Installation, lane: str) -> None:
    for response in (api.client.get(f"/v1/lanes/{lane}"), api.client.post(f"/v1/lanes/{lane}/redrive")):
        problem = the_problem(response, 400, "invalid-parameter")
        assert "lane (path)" in problem["detail"]


class Silent:
    """Queues that do not answer."""

    def refuse(self, *_: object) -> Any:
        raise Unavailable("https://sqs.eu-west-1.amazonaws.com/123456789012/secret does not answer")

    depths = receive = acknowledge = release = refuse


def test_queues_that_do_not_answer_are_unavailable() -> None:
    with an_installation(depths=Silent(), dead_letters=Silent()) as api:
        answers = [
            api.client.get("/v1/lanes"),
            api.client.get("/v1/lanes/3"),
            api.client.post("/v1/lanes/3/redrive"),
            api.client.post("/v1/callbacks/redrive"),
        ]
        for answer in answers:
            the_problem(answer, 503, "unavailable")
            assert "secret" not in answer.text


def test_a_redrive_tells_what_became_of_each_dead_letter(api: Installation) -> None:
    tasks = [a_task(), a_completed_task(), a_completed_task(status=Status.FAILED)]
    api.store.put(tasks)
    bury(api, 3, "nonsense", *(a_message(task, run=1, status="pending").to_json() for task in tasks))

    response = api.client.post("/v1/lanes/3/redrive")

    assert response.status_code == 200
    assert LaneRedriveView.model_validate_json(response.content).model_dump() == {
        "lane": 3,
        "sent": 1,
        "reopened": 0,
        "removed": {"completed": 1, "failed": 1},
        "poison": 1,
        "unanswered": 0,
        "more": False,
    }
    assert api.client.get("/v1/lanes/3").json() | {"lane": 3} == {
        "lane": 3,
        "paused_since": None,
        "waiting": 1,
        "delayed": 0,
        "in_flight": 0,
        "dead_letters": 1,
    }


def test_failed_tasks_begin_again_only_where_that_is_asked_for(api: Installation) -> None:
    task = a_completed_task(status=Status.FAILED)
    api.store.put([task])
    letter = a_message(task, run=1, status="pending").to_json()

    bury(api, 3, letter)
    assert api.client.post("/v1/lanes/3/redrive?failed=leave").json()["removed"] == {"failed": 1}
    bury(api, 3, letter)
    assert api.client.post("/v1/lanes/3/redrive?failed=retry").json()["reopened"] == 1
    api.work()
    assert api.client.get(f"/v1/tasks/{task.id}").json()["status"] == "completed"


def test_a_redrive_has_a_limit(api: Installation) -> None:
    tasks = [a_task() for _ in range(4)]
    api.store.put(tasks)
    bury(api, 3, *(a_message(task).to_json() for task in tasks))

    first = api.client.post("/v1/lanes/3/redrive?limit=3").json()

    assert (first["sent"], first["more"]) == (3, True)
    assert api.client.get("/v1/lanes/3").json()["dead_letters"] == 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("lanes/3", "limit=0"),
        ("lanes/3", "limit=10001"),
        ("lanes/3", "limit=x"),
        ("lanes/3", "failed=drop"),
        ("callbacks", "limit=0"),
    ],
)
def test_a_wrong_parameter_is_named(api: Installation, path: str, query: str) -> None:
    bury(api, 3, a_message().to_json())

    problem = the_problem(api.client.post(f"/v1/{path}/redrive?{query}"), 400, "invalid-parameter")

    assert query.partition("=")[0] in problem["detail"]
    assert api.dead_letters.depth(3) == 1


def test_dead_callbacks_are_sent_again(api: Installation) -> None:
    owed, told = a_completed_task(callback=a_pending_callback()), a_completed_task()
    api.store.put([owed, told])
    bury(api, 0, *(CallbackMessage(task_id=task.id, number=1).to_json() for task in (owed, told)), "nonsense")

    response = api.client.post("/v1/callbacks/redrive")

    assert response.status_code == 200
    assert CallbackRedriveView.model_validate_json(response.content) == CallbackRedriveView(
        sent=1, removed={"unknown": 1}, poison=1, unanswered=0, more=False
    )
    (delivery,) = api.queues.receive(0, 10, 0)
    assert CallbackMessage.from_json(delivery.body) == CallbackMessage(task_id=owed.id, number=1, send_at=NOW)


@pytest.mark.parametrize("path", ["/v1/lanes/3/redrive", "/v1/callbacks/redrive"])
def test_a_redrive_is_no_page_to_look_at(api: Installation, path: str) -> None:
    response = api.client.get(path)

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
