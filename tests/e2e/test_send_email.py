"""Mail leaves through SES under the worker's own role, in a run as it is and in one for debugging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.contracts.mail import mails_to
from tests.e2e.local_run import LocalRun, local_run, result_of, submit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def send_and_read_back(run: LocalRun, client: httpx.Client, address: str) -> None:
    task_id = submit(
        client, type="send_email", payload={"to": address, "subject": "Grüße", "body": "It is on its way."}
    )
    result = result_of(client, task_id)

    [mail] = mails_to(run.engine_url, address)
    assert mail["MessageId"] == result["message_id"]
    assert (mail["Source"], mail["Subject"], mail["BodyText"]) == (
        "tasklane@example.com",
        "Grüße",
        "It is on its way.",
    )


def test_the_worker_function_may_send(shared_run: LocalRun, client: httpx.Client) -> None:
    send_and_read_back(shared_run, client, "ada@example.com")


@pytest.mark.long
def test_so_may_the_worker_in_the_apis_process(tmp_path: Path) -> None:
    with local_run(tmp_path, DEBUG="1") as run, httpx.Client(base_url=run.url, timeout=30) as client:
        send_and_read_back(run, client, "bob@example.com")
