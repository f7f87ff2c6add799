"""Tasks are listed and removed in a real installation, under the API function's own role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra.local.target import at_port
from tests.e2e.local_run import LocalRun, result_of, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.engine

LARGE = {"text": "x" * 10_000}


def listed(client: httpx.Client, **parameters: Any) -> list[str]:
    """The ids of every page."""
    ids: list[str] = []
    while True:
        page = client.get("/v1/tasks", params=parameters).raise_for_status().json()
        ids += [task["id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            return ids
        parameters["cursor"] = page["next_cursor"]


def kept_for(run: LocalRun, task_id: str) -> list[str]:
    """The keys of what the bucket keeps for a task."""
    s3 = boto3.client("s3", **at_port(run.engine_port).client_options)
    (bucket,) = [one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"] != "tasklane-local-code"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{task_id}/").get("Contents", [])
    return [one["Key"] for one in found]


def test_tasks_are_listed_page_by_page_and_removed_with_their_documents(
    shared_run: LocalRun, client: httpx.Client
) -> None:
    label = {"labels": {"for": "the list"}}
    ids = [submit(client, type="echo", payload={"n": n}, **label) for n in range(20)]
    done = submit(client, type="echo", payload=LARGE, **label)
    later = submit(client, type="echo", payload=LARGE, delay_seconds=3600, **label)
    result_of(client, done)
    ids += [done, later]

    assert listed(client, label="for:the list", limit=5) == ids[::-1]
    assert listed(client, label="for:the list", limit=5, order="oldest") == ids
    assert listed(client, label="for:the list", status="scheduled") == [later]
    assert kept_for(shared_run, done)
    assert kept_for(shared_run, later)

    answer = client.post("/v1/tasks/remove", json={"ids": ids}).json()

    assert (answer["removed"], answer["gone"], answer["left"]) == (22, 0, [])
    assert listed(client, label="for:the list") == []
    wait_for(
        lambda: not kept_for(shared_run, done) and not kept_for(shared_run, later),
        "the end of the documents",
        seconds=90,
    )
