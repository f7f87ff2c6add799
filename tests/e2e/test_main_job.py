"""The main job: mixed tasks over HTTP, each to its right result and to exactly one signed callback."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from infra.local.options import LOCAL_SECRET
from tests.e2e.local_run import Callback, Receiver, receiver, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DOCUMENT = b"tasklane " * 1000
LARGE = "x" * 100_000  # far over what an item keeps: goes through S3


def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def make_task(number: int, receiver_url: str) -> tuple[dict[str, Any], Any]:
    """A task and its right result."""
    kinds = [
        ({"type": "FibonacciTask", "payload": {"n": number % 101}}, {"result": fibonacci(number % 101)}),
        ({"type": "echo", "payload": {"number": number}}, {"number": number}),
        ({"type": "FibonacciTask", "payload": {"n": 10}}, {"result": 55}),
        ({"type": "echo", "payload": {"text": "grüße 🚀", "list": [number, None]}},
         {"text": "grüße 🚀", "list": [number, None]}),
        ({"type": "echo", "payload": {"number": number, "large": LARGE}}, {"number": number, "large": LARGE}),
        ({"type": "fetch_url", "payload": {"url": f"{receiver_url}/document"}}, None),
        ({"type": "sleep", "payload": {"seconds": 0.05}}, None),
    ]  # fmt: skip
    # Two of the costly kinds in ten tasks, the rest quick ones.
    task, result = kinds[4 + number // 10 % 3] if number % 10 == 0 else kinds[number % 4]
    return task | {"priority": number % 5 + 1, "callback_url": f"{receiver_url}/callbacks/{number}"}, result


@pytest.fixture(
    scope="module", params=[pytest.param(100, id="100"), pytest.param(500, id="500", marks=pytest.mark.long)]
)
def count(request: pytest.FixtureRequest) -> int:
    """How many tasks: `make test` has room for the fewer."""
    return int(request.param)


@pytest.fixture(scope="module")
def sink(count: int) -> Iterator[Receiver]:
    with receiver(DOCUMENT) as running:
        yield running


@pytest.fixture(scope="module")
def ids(client: httpx.Client, sink: Receiver, count: int) -> list[str]:
    """The tasks' ids, by number, when all callbacks are there."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: submit(client, **make_task(number, sink.url)[0]), range(count)))
    wait_for(
        lambda: len({callback.path for callback in sink.received}) == count, "a callback of every task", seconds=90
    )
    return ids


@pytest.fixture(scope="module")
def tasks(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    """What the API says of the tasks, by number, when their callbacks are settled.

    A callback is written down as delivered just after the receiver answered; after that no further try can come.
    """

    def settled(task_id: str) -> dict[str, Any]:
        task: dict[str, Any] = client.get(f"/v1/tasks/{task_id}").json()
        while task["callback"]["state"] != "delivered":
            task = client.get(f"/v1/tasks/{task_id}", params={"wait": 1}).json()
        return task

    return [settled(task_id) for task_id in ids]


def test_every_task_completes_with_the_right_result(
    client: httpx.Client, sink: Receiver, tasks: list[dict[str, Any]], count: int
) -> None:
    assert len({task["id"] for task in tasks}) == count
    for number, task in enumerate(tasks):
        sent, result = make_task(number, sink.url)

        assert (task["status"], task["attempt"]) == ("completed", 1), task
        assert (task["type"], task["priority"]) == (sent["type"], sent["priority"])
        given = client.get(f"/v1/tasks/{task['id']}/result").json()
        if sent["type"] == "fetch_url":
            assert (given["status"], given["length"]) == (200, len(DOCUMENT))
            assert given["sha256"] == hashlib.sha256(DOCUMENT).hexdigest()
        elif sent["type"] == "sleep":
            assert given["slept_seconds"] >= 0.05
        else:
            assert given == result


def test_every_callback_comes_exactly_once(sink: Receiver, tasks: list[dict[str, Any]], count: int) -> None:
    assert [task["callback"] for task in tasks if task["callback"]["tries"] != 1] == []
    assert sorted(callback.path for callback in sink.received) == sorted(f"/callbacks/{n}" for n in range(count))


def test_every_callback_is_signed_and_tells_its_task(sink: Receiver, ids: list[str], count: int) -> None:
    webhook = Webhook(LOCAL_SECRET)
    for callback in sink.received:
        webhook.verify(callback.body, callback.headers)
        event = json.loads(callback.body)
        assert event["type"] == "task.completed"
        assert event["data"]["id"] == ids[int(callback.path.rsplit("/", 1)[-1])]
    assert len({callback.headers["webhook-id"] for callback in sink.received}) == count


@pytest.mark.parametrize("said", ["api       A task was accepted.", "worker    A task was completed."])
def test_every_task_shows_in_the_terminal(shared_run: LocalRun, ids: list[str], said: str) -> None:
    def shown() -> set[str]:
        lines = [line for line in shared_run.output.splitlines() if said in line]
        return {word.removeprefix("task_id=") for line in lines for word in line.split() if word.startswith("task_id=")}

    wait_for(lambda: set(ids) <= shown(), f"of every task: {said}")


def test_a_changed_callback_does_not_verify(sink: Receiver, ids: list[str]) -> None:
    first: Callback = sink.received[0]
    with pytest.raises(Exception, match="signature"):
        Webhook(LOCAL_SECRET).verify(first.body + b" ", first.headers)
