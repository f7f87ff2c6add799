"""Contract 5, as a client of the task throttler knows it."""

from __future__ import annotations

import hashlib
import itertools
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.contracts.polling import poll
from tests.e2e.local_run import receiver
from tests.support.receiver import a_receiver
from tests.support.runs import most_at_once

if TYPE_CHECKING:
    import httpx

    from tests.support.receiver import Connection
    from tests.support.runs import Run

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KNOWN_SECONDS = 6
"""After so long every worker has heard of a limit: it asks every five seconds."""


def submit(client: httpx.Client, kind: str, body: dict[str, Any]) -> str:
    answer = client.post(f"/api/v1/task/{kind}", json=body)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"task_id", "status"}
    assert answer.json()["status"] == "pending"
    task_id: str = answer.json()["task_id"]
    return task_id


def result(client: httpx.Client, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = poll(
        client, f"/api/v1/task/result/{task_id}", lambda task: task["status"] in ("completed", "failed")
    )
    assert set(task) == {"task_id", "status", "result"}
    assert task["task_id"] == task_id
    return task


def test_a_greeting(client: httpx.Client) -> None:
    assert result(client, submit(client, "greeting", {"name": "Ada"}))["result"] == "Hello, Ada!"


def test_a_download(client: httpx.Client) -> None:
    document = b"tasklane " * 1000
    with receiver(document) as server:
        task = result(client, submit(client, "download", {"url": f"{server.url}/document"}))

    assert task["status"] == "completed"
    assert (task["result"]["length"], task["result"]["type"]) == (len(document), "text/plain")
    assert task["result"]["digest"] == hashlib.sha256(document).hexdigest()


def test_a_download_from_an_address_that_is_not_public_fails(client: httpx.Client) -> None:
    """The same guard as for callbacks; of all that is not public, the local run allows loopback alone."""
    task = result(client, submit(client, "download", {"url": "http://169.254.169.254/latest/meta-data/"}))

    assert (task["status"], task["result"]) == ("failed", None)


@pytest.mark.parametrize("kind", ["blocking_long_running_task", "non_blocking_long_running_task"])
def test_a_long_running_task(client: httpx.Client, kind: str) -> None:
    task = result(client, submit(client, kind, {"duration": 0.5}))

    assert task["status"] == "completed"
    assert task["result"]["duration"] >= 0.5


def test_long_running_tasks_let_each_other_go_on(client: httpx.Client) -> None:
    kinds = ["blocking_long_running_task", "non_blocking_long_running_task"] * 2
    ids = [submit(client, kind, {"duration": 2}) for kind in kinds]

    for task_id in ids:
        assert result(client, task_id)["result"]["duration"] < 2 * len(kinds)


def test_a_result_that_is_not_there_yet_is_null(client: httpx.Client) -> None:
    task_id = submit(client, "non_blocking_long_running_task", {"duration": 3})

    task = client.get(f"/api/v1/task/result/{task_id}").json()

    assert task["status"] in ("pending", "running")
    assert task["result"] is None


def test_an_unknown_id_is_not_found(client: httpx.Client) -> None:
    assert client.get("/api/v1/task/result/nobody-knows-it").status_code == 404


@pytest.mark.parametrize(
    ("kind", "body"),
    [("greeting", {}), ("download", {"url": "no url"}), ("blocking_long_running_task", {"duration": -1})],
)
def test_what_makes_no_sense_is_refused(client: httpx.Client, kind: str, body: dict[str, Any]) -> None:
    assert client.post(f"/api/v1/task/{kind}", json=body).status_code == 422


def run_of(client: httpx.Client, task_id: str) -> Run:
    """From when to when it ran: that system had no word for it."""
    task = client.get(f"/v1/tasks/{task_id}").json()
    assert task["attempt"] == 1, "to be held back is no attempt"
    return datetime.fromisoformat(task["started_at"]), datetime.fromisoformat(task["finished_at"])


def test_a_task_starts_only_while_each_of_its_dimensions_is_below_its_limit(client: httpx.Client) -> None:
    account, cluster = f"account:{uuid.uuid4()}", f"cluster-{uuid.uuid4()}"
    # By the operator, while everything runs: that system had its limits in its configuration.
    client.put(f"/v1/limits/{cluster}", json={"max_concurrent": 2}).raise_for_status()
    client.put(f"/v1/limits/{account}", json={"max_concurrent": 1}).raise_for_status()
    time.sleep(KNOWN_SECONDS)

    def one(*keys: str) -> str:
        return submit(client, "non_blocking_long_running_task", {"duration": 1, "throttle_keys": [cluster, *keys]})

    of_account = [one(account) for _ in range(3)]
    of_others = [one("connector:7") for _ in range(3)]

    for task_id in of_account + of_others:
        assert result(client, task_id)["status"] == "completed"
    assert most_at_once([run_of(client, task_id) for task_id in of_account]) == 1
    assert most_at_once([run_of(client, task_id) for task_id in of_account + of_others]) == 2


@pytest.mark.long
def test_an_idempotent_task_has_three_attempts_ten_seconds_apart(client: httpx.Client) -> None:
    asked: list[float] = []

    def busy(connection: Connection) -> None:
        asked.append(time.monotonic())
        connection.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    with a_receiver() as server:
        server.answer = busy
        task = result(client, submit(client, "download", {"url": f"{server.url}/"}))

    assert task["status"] == "failed"
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert len(pauses) == 2
    assert all(9.5 < pause < 20 for pause in pauses), pauses
