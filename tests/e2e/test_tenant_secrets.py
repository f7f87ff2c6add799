"""A tenant's own signing secret, kept in the engine as an operator would, from there to its receiver."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import boto3
import pytest
from standardwebhooks import Webhook

from infra.local.options import LOCAL_SECRET
from infra.local.target import ACCOUNT_KEY, REGION
from tests.e2e.local_run import receiver, submit, wait_for

if TYPE_CHECKING:
    import httpx

    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_callback_is_signed_with_the_secret_of_its_tenant(client: httpx.Client, shared_run: LocalRun) -> None:
    own = f"whsec_{base64.b64encode(os.urandom(24)).decode()}"
    ssm = boto3.client("ssm", REGION, None, None, None, shared_run.engine_url, ACCOUNT_KEY, ACCOUNT_KEY)
    ssm.put_parameter(Name="/tasklane/local/tenants/acme/webhook-secrets", Value=own, Type="SecureString")
    ssm.close()

    with receiver() as sink:
        for tenant in ("acme", "other"):
            submit(client, type="echo", tenant=tenant, callback_url=f"{sink.url}/{tenant}")
        wait_for(lambda: len(sink.received) == 2, 60, "both callbacks")

    for callback in sink.received:
        secret = own if callback.path == "/acme" else LOCAL_SECRET
        Webhook(secret).verify(callback.body, callback.headers)
