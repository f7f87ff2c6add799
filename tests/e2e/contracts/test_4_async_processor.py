"""Contract 4, as a client of the async task processor knows it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra.local.target import at_port
from tests.e2e.contracts.mail import mails_to
from tests.e2e.contracts.polling import poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def send(client: httpx.Client, to: str, path: str = "/tasks") -> str:
    mail = {"to": to, "subject": "Grüße", "body": "One line,\nand another."}
    answer = client.post(path, json={"task_type": "send_email", "payload": mail})
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    assert answer.json() == {"task_id": task_id, "status": "queued"}
    return task_id


def someone() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.com"


def is_over(task: dict[str, Any]) -> bool:
    assert task["status"] in ("queued", "processing", "completed", "failed")
    return task["status"] in ("completed", "failed")


@pytest.mark.parametrize("path", ["/tasks", "/tasks/"])
def test_a_mail_is_sent(shared_run: LocalRun, client: httpx.Client, path: str) -> None:
    address = someone()

    task_id = send(client, address, path)

    assert poll(client, f"/tasks/{task_id}", is_over) == {"task_id": task_id, "status": "completed"}
    [mail] = mails_to(shared_run.engine_url, address)
    assert (mail["Subject"], mail["BodyText"]) == ("Grüße", "One line,\nand another.")


def test_it_is_processing_meanwhile(client: httpx.Client) -> None:
    task_id = client.post("/tasks", json={"task_type": "sleep", "payload": {"seconds": 3}}).json()["task_id"]

    processing = poll(client, f"/tasks/{task_id}", lambda task: task["status"] == "processing")

    assert processing == {"task_id": task_id, "status": "processing"}
    assert poll(client, f"/tasks/{task_id}", is_over)["status"] == "completed"


@pytest.fixture
def sandbox(shared_run: LocalRun) -> Iterator[None]:
    """SES as a new account has it: recipients must be verified too."""
    ses = boto3.client("sesv2", **at_port(shared_run.engine_port).client_options)

    def move(*, out: bool) -> None:
        ses.put_account_details(
            ProductionAccessEnabled=out, MailType="TRANSACTIONAL", WebsiteURL="https://example.com/"
        )

    move(out=False)
    yield
    move(out=True)
    ses.close()


@pytest.mark.usefixtures("sandbox")
def test_a_mail_that_will_never_be_sent_fails_at_once_and_says_why(shared_run: LocalRun, client: httpx.Client) -> None:
    address = f"nobody@{uuid.uuid4().hex[:12]}.example.org"

    task_id = send(client, address)

    assert poll(client, f"/tasks/{task_id}", is_over) == {"task_id": task_id, "status": "failed"}
    assert mails_to(shared_run.engine_url, address) == []
    # That system had no word for how often it tried, and why it failed: that is told through /v1 alone.
    in_full = client.get(f"/v1/tasks/{task_id}").json()
    assert (in_full["attempt"], in_full["error"]["type"]) == (1, "MailRefused")
    assert address in in_full["error"]["message"]


def test_an_unknown_id_is_not_found_in_status_code_and_body(client: httpx.Client) -> None:
    answer = client.get("/tasks/nobody-knows-it")

    assert answer.status_code == 404
    assert answer.json()["status"] == "not_found"


def test_it_is_healthy(client: httpx.Client) -> None:
    answer = client.get("/health")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_payload_means_contract_4_and_input_data_contract_2(client: httpx.Client) -> None:
    mine = client.post("/tasks", json={"task_type": "CollatzTask", "payload": {"n": 27}})
    theirs = client.post("/tasks", json={"task_type": "CollatzTask", "input_data": {"n": 27}})

    assert (mine.status_code, set(mine.json())) == (200, {"task_id", "status"})
    assert (theirs.status_code, theirs.json()["status"]) == (201, "pending")
    for made, words in ((mine.json()["task_id"], {"task_id", "status"}), (theirs.json()["id"], {"id", "input_data"})):
        assert set(poll(client, f"/tasks/{made}", is_over_in_any_words)) >= words


def is_over_in_any_words(task: dict[str, Any]) -> bool:
    return bool(task["status"] == "completed")
