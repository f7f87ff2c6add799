"""The built package under the real runtime client: events as AWS sends them, roles as the template gives them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from infra.local import options
from tests.packaging.deployed import http_event, schedule_event, sqs_event
from tests.packaging.receiver import receiving

if TYPE_CHECKING:
    from tests.packaging.deployed import Deployed


def test_the_api_says_that_it_is_well(deployed: Deployed) -> None:
    with deployed.function("api") as api:
        answer = api.invoke(http_event("GET", "/health"))
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "ok"


def test_the_api_shows_the_dashboard(deployed: Deployed) -> None:
    with deployed.function("api") as api:
        page = api.invoke(http_event("GET", "/dashboard"))
        [script] = re.findall(r'<script type="module" src="([^"]+)">', page["body"])
        answer = api.invoke(http_event("GET", f"/{script}"))
    assert (page["statusCode"], page["isBase64Encoded"]) == (200, False)
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "text/javascript; charset=utf-8"


def test_a_task_passes_from_the_api_to_the_worker_and_back(deployed: Deployed) -> None:
    # When it is posted through the API's function
    with deployed.function("api") as api:
        accepted = api.invoke(http_event("POST", "/v1/tasks", {"type": "FibonacciTask", "payload": {"n": 10}}))
        task = json.loads(accepted["body"])
        # Then it is accepted, stored, and sent down its lane
        assert accepted["statusCode"] == 202, accepted
        assert accepted["headers"]["location"] == f"/v1/tasks/{task['id']}"
        assert deployed.item(task["id"])["status"] == {"S": "pending"}
        message = deployed.receive(deployed.deployment.lane3_queue_url)

        # When the worker's function gets it together with a message that nobody wrote
        with deployed.function("worker") as worker:
            answer = worker.invoke(sqs_event([message, "{not a message"]))
        # Then only the poison comes again, and the task is completed for whoever reads it
        assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert deployed.item(task["id"])["status"] == {"S": "completed"}
        read = json.loads(api.invoke(http_event("GET", f"/v1/tasks/{task['id']}"))["body"])
        assert (read["status"], read["result"]) == ("completed", {"result": 55})


def test_a_result_is_called_back_with_a_signature_that_verifies(deployed: Deployed) -> None:
    with receiving() as receiver:
        # Given a completed task that was posted with a callback
        task = {"type": "echo", "payload": {"text": "hi"}, "callback_url": receiver.url}
        with deployed.function("api") as api:
            task_id = json.loads(api.invoke(http_event("POST", "/v1/tasks", task))["body"])["id"]
        with deployed.function("worker") as worker:
            worker.invoke(sqs_event([deployed.receive(deployed.deployment.lane3_queue_url)]))
        # When the callback function gets its message
        with deployed.function("callbacks") as callbacks:
            answer = callbacks.invoke(sqs_event([deployed.receive(deployed.deployment.callback_queue_url)]))
        # Then the receiver has it once, and can verify it
        assert answer == {"batchItemFailures": []}
        (request,) = receiver.requests
        verified = Webhook(options.LOCAL_SECRET).verify(request.body, dict(request.headers))
        assert verified["data"]["id"] == task_id


def test_the_sweeper_sweeps(deployed: Deployed) -> None:
    with deployed.function("sweeper") as sweeper:
        answer = sweeper.invoke(schedule_event())
    assert answer["seen"] == 0


STUCK = '''
"""Never ends."""

import threading

from pydantic import BaseModel

from tasklane.registry import task


class Nothing(BaseModel):
    """Nothing."""


@task("stuck", timeout_seconds=1)
def stuck(payload: Nothing) -> None:
    """Wait for ever."""
    threading.Event().wait()
'''


def test_a_worn_out_worker_ends_itself_and_the_runtime_starts_another_one(deployed: Deployed) -> None:
    lane = deployed.deployment.lane3_queue_url
    stuck = [{"type": "stuck", "payload": {}, "max_attempts": 1}] * 5
    fibonacci = {"type": "FibonacciTask", "payload": {"n": 10}}
    with deployed.with_handler("stuck", STUCK):
        # Given five tasks that never end, and one that does
        with deployed.function("api") as api:
            posted = [api.invoke(http_event("POST", "/v1/tasks", task)) for task in (*stuck, fibonacci)]
        ids = [json.loads(answer["body"])["id"] for answer in posted]
        with deployed.function("worker") as worker:
            # When the worker's function gets them in one batch
            answer = worker.invoke_whatever_comes(deployed.sqs_event_of(lane, 6))
            # Then its process ends instead of an answer, when all outcomes are written and all messages deleted
            assert answer["errorType"] == "Runtime.ExitError"
            statuses = [deployed.item(one)["status"]["S"] for one in ids]
            assert statuses == ["failed"] * 5 + ["completed"]
            assert deployed.in_flight(lane) == 0
            # And the next batch finds a fresh process
            with deployed.function("api") as api:
                later = json.loads(api.invoke(http_event("POST", "/v1/tasks", fibonacci))["body"])["id"]
            assert worker.invoke(deployed.sqs_event_of(lane, 1)) == {"batchItemFailures": []}
            assert deployed.item(later)["status"] == {"S": "completed"}
