"""Contract 1, as a client of the pull broker knows it."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NOTHING = {"task_id": None, "function": None, "data": None}
_numbers = itertools.count()


@pytest.fixture
def function() -> str:
    """A function of this test's own."""
    return f"function-{next(_numbers)}"


def enqueue(client: httpx.Client, function: str, data: list[Any]) -> str:
    answer = client.post("/enqueue", json={"function": function, "data": data})
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    assert answer.json() == {"task_id": task_id, "status": "pending"}
    return task_id


def get_task(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/get_task", params=query)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"task_id", "function", "data"}
    work: dict[str, Any] = answer.json()
    return work


def submit_result(client: httpx.Client, task_id: str, result: Any) -> httpx.Response:
    return client.post("/submit_result", json={"task_id": task_id, "result": result})


def result(client: httpx.Client, task_id: str) -> dict[str, Any]:
    answer = client.get(f"/result/{task_id}")
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


def test_a_task_from_its_beginning_to_its_end(client: httpx.Client, function: str) -> None:
    task_id = enqueue(client, function, [1, "zwei", {"three": [3.5, None, True]}])
    assert result(client, task_id) == {"task_id": task_id, "status": "pending", "result": None}

    work = get_task(client, function=function)
    assert work == {"task_id": task_id, "function": function, "data": [1, "zwei", {"three": [3.5, None, True]}]}
    assert result(client, task_id) == {"task_id": task_id, "status": "processing", "result": None}

    answer = submit_result(client, task_id, {"sum": 6.5})
    assert (answer.status_code, answer.json()) == (200, {"status": "completed", "task_id": task_id})
    assert result(client, task_id) == {"task_id": task_id, "status": "completed", "result": {"sum": 6.5}}


def test_where_nothing_is_everything_is_null(client: httpx.Client, function: str) -> None:
    assert get_task(client, function=function) == NOTHING


@pytest.mark.parametrize("given", [None, False, 0, "", [], {}, "text", [1, [2]], {"deep": {"er": "ü"}}])
def test_any_json_is_a_result(client: httpx.Client, function: str, given: Any) -> None:
    task_id = enqueue(client, function, [])
    get_task(client, function=function)

    assert submit_result(client, task_id, given).status_code == 200
    assert result(client, task_id) == {"task_id": task_id, "status": "completed", "result": given}


def test_first_in_first_out(client: httpx.Client, function: str) -> None:
    ids = [enqueue(client, function, [number]) for number in range(10)]

    assert [get_task(client, function=function)["task_id"] for _ in ids] == ids
    assert get_task(client, function=function) == NOTHING


def test_only_tasks_of_the_wanted_function_are_handed_out(client: httpx.Client, function: str) -> None:
    other = f"{function}-other"
    first, second = enqueue(client, other, [1]), enqueue(client, function, [2])

    assert get_task(client, function=function)["task_id"] == second
    assert get_task(client, function=function) == NOTHING
    assert get_task(client, function=other)["task_id"] == first


def test_without_a_function_any_task_is_handed_out(client: httpx.Client, function: str) -> None:
    wanted = {enqueue(client, f"{function}-{number}", [number]) for number in range(3)}

    def emptied() -> bool:  # tests before this one may have left something
        wanted.discard(get_task(client)["task_id"])
        return not wanted

    wait_for(emptied, "all tasks are handed out")


def test_a_wait_ends_as_soon_as_there_is_something(client: httpx.Client, shared_run: LocalRun, function: str) -> None:
    def later() -> None:
        with httpx.Client(base_url=shared_run.url, timeout=30) as other:
            enqueue(other, function, ["late"])

    timer = threading.Timer(1, later)
    timer.start()
    begun = time.monotonic()
    work = get_task(client, function=function, wait=20)
    timer.join()

    assert work["data"] == ["late"]
    assert 0.5 < time.monotonic() - begun < 15


def test_a_wait_for_nothing_ends(client: httpx.Client, function: str) -> None:
    begun = time.monotonic()

    assert get_task(client, function=function, wait=1) == NOTHING
    assert 1 <= time.monotonic() - begun < 15


def test_a_task_that_is_not_done_in_time_goes_to_another_worker(client: httpx.Client, function: str) -> None:
    """A lease is 60 s, unless it is configured otherwise, as it is here by the operator."""
    # Through /v1, because that system had no leases, and so no word for how long they are.
    client.post("/v1/task-types", json={"name": function, "timeout_seconds": 2, "retry": {"pauses": [0]}})
    task_id = enqueue(client, function, ["again"])
    slow = get_task(client, function=function)
    assert slow["task_id"] == task_id

    other = wait_for(lambda: (work := get_task(client, function=function, wait=5))["data"] and work, "it comes again")

    assert other["data"] == ["again"]
    late = submit_result(client, slow["task_id"], "late")
    assert late.status_code == 409
    assert late.json()["type"] == "urn:tasklane:problem:lease-lost"
    assert submit_result(client, other["task_id"], "in time").status_code == 200
    for one in (slow, other):
        assert result(client, one["task_id"])["result"] == "in time"


def test_a_late_result_is_taken_where_nobody_else_has_the_task(client: httpx.Client, function: str) -> None:
    # Through /v1 as above; and in that system's words a task that was handed out is never pending again.
    client.post("/v1/task-types", json={"name": function, "timeout_seconds": 1, "retry": {"pauses": [0]}})
    task_id = enqueue(client, function, [])
    get_task(client, function=function)
    attempts = lambda: client.get(f"/v1/tasks/{task_id}").json()["attempts"]  # noqa: E731
    wait_for(attempts, "the lease is seen to have ended")
    assert result(client, task_id)["status"] == "processing"

    assert submit_result(client, task_id, "late").status_code == 200
    assert get_task(client, function=function) == NOTHING


def test_an_unknown_id_is_not_found(client: httpx.Client) -> None:
    assert client.get("/result/nobody-knows-it").status_code == 404
    assert submit_result(client, "nobody-knows-it", 1).status_code == 404


def test_a_function_that_the_installation_itself_knows_is_no_error(client: httpx.Client) -> None:
    task_id = enqueue(client, "echo", ["for external workers"])

    work = get_task(client, function="echo")
    assert (work["task_id"], work["data"]) == (task_id, ["for external workers"])
    assert submit_result(client, task_id, "done outside").status_code == 200


@pytest.mark.long
def test_twenty_workers_share_one_queue(shared_run: LocalRun, client: httpx.Client, function: str) -> None:
    """No task is handed to two of them, and none of them goes without."""
    tasks = {enqueue(client, function, [number]): number for number in range(200)}
    handed_out: list[list[str]] = [[] for _ in range(20)]
    together = threading.Barrier(20)

    def work(number: int) -> None:
        with httpx.Client(base_url=shared_run.url, timeout=60) as worker:
            together.wait(60)
            while (task := get_task(worker, function=function, wait=1))["task_id"] is not None:
                handed_out[number].append(task["task_id"])
                time.sleep(0.05)
                assert submit_result(worker, task["task_id"], task["data"][0] ** 2).status_code == 200

    workers = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(180)

    seen = [task_id for some in handed_out for task_id in some]
    assert sorted(seen) == sorted(tasks), "each once"
    assert min(len(some) for some in handed_out) >= 1
    assert all(result(client, task_id)["result"] == number**2 for task_id, number in list(tasks.items())[::20])
