"""Contract 2, as a client of the Task Queue API knows it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.contracts.polling import poll
from tests.e2e.local_run import local_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]
AT_A_TIME = 10
"""Tasks that a worker takes from a level at once."""


def create(client: httpx.Client, task_type: str, n: Any, path: str = "/tasks/", **more: Any) -> httpx.Response:
    return client.post(path, json={"task_type": task_type, "input_data": {"n": n}, **more})


def created(client: httpx.Client, task_type: str, n: Any, **more: Any) -> str:
    answer = create(client, task_type, n, **more)
    assert answer.status_code == 201, answer.text
    task_id: str = answer.json()["id"]
    return task_id


def is_over(task: dict[str, Any]) -> bool:
    return task["status"] in ("completed", "failed")


@pytest.mark.parametrize("path", ["/tasks/", "/tasks"])
def test_a_task_is_created(client: httpx.Client, path: str) -> None:
    answer = create(client, "FibonacciTask", 10, path, priority=5)

    task = answer.json()
    assert answer.status_code == 201
    assert set(task) == {"id", "task_type", "status", "priority", "created_at"}
    assert (task["task_type"], task["status"], task["priority"]) == ("FibonacciTask", "pending", 5)
    assert datetime.fromisoformat(task["created_at"]).tzinfo


def test_a_task_is_shown_and_its_result_is_a_string(client: httpx.Client) -> None:
    task_id = created(client, "FibonacciTask", 10)

    task = poll(client, f"/tasks/{task_id}", is_over)

    assert set(task) == {
        "id",
        "task_type",
        "input_data",
        "status",
        "result",
        "priority",
        "created_at",
        "updated_at",
    }
    assert (task["id"], task["task_type"], task["input_data"]) == (task_id, "FibonacciTask", {"n": 10})
    assert (task["status"], task["priority"]) == ("completed", 3)
    assert isinstance(task["result"], str)
    assert json.loads(task["result"]) == {"result": 55}
    assert datetime.fromisoformat(task["updated_at"]) > datetime.fromisoformat(task["created_at"])


def test_a_task_runs_and_fails_and_then_has_no_result(client: httpx.Client) -> None:
    job = {"name": "failing", "parameters": {"steps": 1, "step_seconds": 3, "fail_at": 1}}
    answer = client.post("/tasks/", json={"task_type": "simulated_job", "input_data": job})
    task_id = answer.json()["id"]

    running = poll(client, f"/tasks/{task_id}", lambda task: task["status"] == "running")
    failed = poll(client, f"/tasks/{task_id}", is_over)

    assert (failed["status"], failed["result"], failed["input_data"]) == ("failed", None, job)
    assert running["result"] is None
    times = [datetime.fromisoformat(task["updated_at"]) for task in (running, failed)]
    assert datetime.fromisoformat(answer.json()["created_at"]) < times[0] < times[1]


@pytest.mark.parametrize(
    ("task_type", "n", "result"),
    [
        ("FibonacciTask", 0, 0),
        ("FibonacciTask", 100, 354_224_848_179_261_915_075),
        ("CountPrimes", 0, 0),
        ("CountPrimes", 5_000_000, 348_513),
        ("CollatzTask", 1, 0),
        ("CollatzTask", 27, 111),
        ("CollatzTask", 10_000_000, 145),
    ],
)
def test_each_type_gives_its_integer(client: httpx.Client, task_type: str, n: int, result: int) -> None:
    task = poll(client, f"/tasks/{created(client, task_type, n)}", is_over)

    assert json.loads(task["result"]) == {"result": result}


@pytest.mark.parametrize(
    ("task_type", "n"),
    [
        ("FibonacciTask", -1),
        ("FibonacciTask", 101),
        ("CountPrimes", -1),
        ("CountPrimes", 5_000_001),
        ("CollatzTask", 0),
        ("CollatzTask", 10_000_001),
        ("CollatzTask", "27"),
        ("FibonacciTask", None),
    ],
)
def test_a_wrong_n_is_refused_at_submission(client: httpx.Client, task_type: str, n: Any) -> None:
    answer = create(client, task_type, n)

    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("priority", [0, 6, -1])
def test_a_priority_outside_1_to_5_is_refused(client: httpx.Client, priority: int) -> None:
    assert create(client, "FibonacciTask", 10, priority=priority).status_code == 422


@pytest.mark.parametrize("priority", [1, 2, 3, 4, 5])
def test_every_level_is_worked_on(client: httpx.Client, priority: int) -> None:
    task = poll(client, f"/tasks/{created(client, 'FibonacciTask', 10, priority=priority)}", is_over)

    assert (task["status"], task["priority"]) == ("completed", priority)


def test_an_unknown_type_is_refused_and_those_there_are_are_listed(client: httpx.Client) -> None:
    answer = create(client, "NoSuchTask", 10)

    assert answer.status_code == 400
    for task_type in ("FibonacciTask", "CountPrimes", "CollatzTask"):
        assert task_type in answer.json()["detail"]


def test_an_unknown_id_is_not_found(client: httpx.Client) -> None:
    answer = client.get("/tasks/00000000-0000-0000-0000-000000000000")

    assert answer.status_code == 404
    assert answer.json()["detail"]


@pytest.mark.long
def test_the_highest_level_is_taken_first_and_inside_a_level_the_first_that_came(tmp_path: Path) -> None:
    """One worker, held by a long task until all others wait: then it takes level after level, ten tasks at a time.

    Those ten overlap, so which of them ends first says nothing; but none of them may come after one of the next ten of
    its level.
    """
    with local_run(tmp_path, DEBUG="1") as run, httpx.Client(base_url=run.url, timeout=30) as client:
        holding = {"task_type": "sleep", "input_data": {"seconds": 12}, "priority": 3}
        held = client.post("/tasks/", json=holding).json()["id"]
        poll(client, f"/tasks/{held}", lambda task: task["status"] == "running")
        order = [1, 3, 5, 2, 4] * 3 + [5, 1] * 19
        ids = [created(client, "CollatzTask", 27, priority=priority) for priority in order]
        assert poll(client, f"/tasks/{held}", lambda _: True)["status"] == "running", "all of them came while it ran"

        tasks = [poll(client, f"/tasks/{task_id}", is_over) for task_id in ids]

    began = sorted(tasks, key=lambda task: datetime.fromisoformat(task["updated_at"]))
    levels = [task["priority"] for task in began]
    assert levels == sorted(order, reverse=True)
    for level in (5, 1):
        came = [task["id"] for task in tasks if task["priority"] == level]
        went = [task["id"] for task in began if task["priority"] == level]
        assert len(came) == 22
        for first in range(0, len(came), AT_A_TIME):
            some = slice(first, first + AT_A_TIME)
            assert set(went[some]) == set(came[some]), f"first in, first out inside level {level}"
