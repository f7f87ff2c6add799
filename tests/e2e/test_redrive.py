"""Dead letters of the running installation come back over its API, which may do that under its own role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra.local import target
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    import httpx
    from mypy_boto3_sqs import SQSClient

    from tests.e2e.local_run import LocalRun

pytestmark = pytest.mark.engine

LANE = 2


@pytest.fixture(scope="module")
def sqs(shared_run: LocalRun) -> SQSClient:
    return boto3.client("sqs", **target.at_port(shared_run.engine_port).client_options)


def bury(sqs: SQSClient, queue: str, *bodies: str) -> None:
    """Put these into the dead-letter queue of that name."""
    urls = sqs.list_queues(QueueNamePrefix=f"tasklane-local-{queue}")["QueueUrls"]
    assert len(urls) == 1, urls
    for body in bodies:
        sqs.send_message(QueueUrl=urls[0], MessageBody=body)


def submit(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/tasks", json={"type": "echo", "priority": LANE} | fields)
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    return task


def letter(task: dict[str, Any]) -> str:
    """The message that announces the first run of a task, as it was sent."""
    return json.dumps(
        {
            "task_id": task["id"],
            "run": 1,
            "status": task["status"],
            "type": task["type"],
            "priority": task["priority"],
            "tenant": task["tenant"],
            "timeout_seconds": task["timeout_seconds"],
            "due_at": 0,
        }
    )


def test_dead_letters_are_seen_redriven_and_removed(client: httpx.Client, sqs: SQSClient) -> None:
    done = submit(client)
    wait_for(lambda: client.get(f"/v1/tasks/{done['id']}").json()["status"] == "completed", "the first task")
    waiting = submit(client, delay_seconds=600)
    delayed = client.get(f"/v1/lanes/{LANE}").json()["delayed"]
    bury(sqs, "Lane2DeadLetterQueue", letter(done), letter(waiting), "poison")
    assert client.get(f"/v1/lanes/{LANE}").json()["dead_letters"] == 3

    report = client.post(f"/v1/lanes/{LANE}/redrive").json()

    assert report == {
        "lane": LANE,
        "sent": 1,
        "reopened": 0,
        "removed": {"completed": 1},
        "poison": 1,
        "unanswered": 0,
        "more": False,
    }
    lane = client.get(f"/v1/lanes/{LANE}").json()
    assert (lane["dead_letters"], lane["delayed"]) == (1, delayed + 1)
    assert client.get(f"/v1/tasks/{waiting['id']}").json()["status"] == "scheduled"


def test_dead_callbacks_are_redriven_and_removed(client: httpx.Client, sqs: SQSClient) -> None:
    task = submit(client)
    bury(sqs, "CallbackDeadLetterQueue", json.dumps({"task_id": task["id"], "number": 1, "tenant": "default"}))
    assert client.get("/v1/lanes").json()["callbacks"]["dead_letters"] == 1

    report = client.post("/v1/callbacks/redrive").json()

    assert report == {"sent": 0, "removed": {"unknown": 1}, "poison": 0, "unanswered": 0, "more": False}
    assert client.get("/v1/lanes").json()["callbacks"]["dead_letters"] == 0
