"""What callbacks can do besides telling an end: events, a tenant's own signature, large results."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from standardwebhooks import Webhook

from infra.local.options import LOCAL_SECRET
from infra.local.target import ACCOUNT_KEY, REGION
from tests.e2e.local_run import receiver, submit
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.e2e.local_run import LocalRun

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
        wait_for(lambda: any(b"task.completed" in one.body for one in sink.received), "the callback of the end")

    webhook = Webhook(LOCAL_SECRET)
    for callback in sink.received:
        webhook.verify(callback.body, callback.headers)
    told = sorted((json.loads(one.body) for one in sink.received), key=lambda one: one["sequence"])
    types = [one["type"] for one in told]
    assert types == ["task.running", *["task.progress"] * (len(told) - 2), "task.completed"]
    assert len(told) >= 3, "six seconds are enough for some progress"
    assert len({one["sequence"] for one in told}) == len(told)
    assert len({one.headers["webhook-id"] for one in sink.received}) == len(told)
    assert {one["data"]["id"] for one in told} == {task_id}
    fractions = [one["data"]["progress"]["fraction"] for one in told[1:]]
    assert fractions == sorted(fractions)


def test_a_callback_is_signed_with_the_secret_of_its_tenant(client: httpx.Client, shared_run: LocalRun) -> None:
    own = f"whsec_{base64.b64encode(os.urandom(24)).decode()}"
    ssm = boto3.client("ssm", REGION, None, None, None, shared_run.engine_url, ACCOUNT_KEY, ACCOUNT_KEY)
    ssm.put_parameter(Name="/tasklane/local/tenants/acme/webhook-secrets", Value=own, Type="SecureString")
    ssm.close()

    with receiver() as sink:
        for tenant in ("acme", "other"):
            submit(client, type="echo", tenant=tenant, callback_url=f"{sink.url}/{tenant}")
        wait_for(lambda: len(sink.received) == 2, "both callbacks")

    for callback in sink.received:
        secret = own if callback.path == "/acme" else LOCAL_SECRET
        Webhook(secret).verify(callback.body, callback.headers)


def test_a_receiver_without_credentials_can_fetch_a_large_result(client: httpx.Client) -> None:
    large = {"text": "grüße 🚀" * 10_000}
    with receiver() as sink:
        submit(client, type="echo", payload=large, callback_url=f"{sink.url}/large")
        wait_for(lambda: sink.received, "the callback")

    told = json.loads(sink.received[0].body)["data"]
    fetched = httpx.get(told["result_url"], timeout=20)
    assert (told["result"], fetched.status_code) == (None, 200)
    assert fetched.headers["content-type"] == "application/json"
    assert fetched.json() == large
    assert httpx.get(told["result_url"].replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")).status_code == 403
