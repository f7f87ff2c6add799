"""Events of a running task, from the submission over HTTP to a receiver that orders them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

from infra.local.options import LOCAL_SECRET
from tests.e2e.local_run import receiver, submit, wait_for

if TYPE_CHECKING:
    import httpx

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_receiver_can_follow_a_task(client: httpx.Client) -> None:
    with receiver() as sink:
        task_id = submit(
            client,
            type="sleep",
            payload={"seconds": 6},
            callback_url=f"{sink.url}/events",
            callback_events=["running", "progress"],
        )
        wait_for(lambda: any(b"task.completed" in one.body for one in sink.received), 60, "the callback of the end")

    webhook = Webhook(LOCAL_SECRET)
    for callback in sink.received:
        webhook.verify(callback.body, callback.headers)
    told = sorted((json.loads(one.body) for one in sink.received), key=lambda one: one["sequence"])
    types = [one["type"] for one in told]
    assert types == ["task.running", *["task.progress"] * (len(told) - 2), "task.completed"]
    assert len(told) >= 3, "six seconds are enough for some progress"
    assert (
        len({one["sequence"] for one in told}) == len({one.headers["webhook-id"] for one in sink.received}) == len(told)
    )
    assert {one["data"]["id"] for one in told} == {task_id}
    fractions = [one["data"]["progress"]["fraction"] for one in told[1:]]
    assert fractions == sorted(fractions)
