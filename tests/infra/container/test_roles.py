"""The roles of an installation as processes: started, probed, put to work and ended as an orchestrator does it."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.receiver import Receiver, a_receiver
from tests.support.role_process import RoleProcess, a_role
from tests.support.stack import Stack, a_stack
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

BRISK = {"TASKLANE_POLL_SECONDS": "1", "TASKLANE_SWEEP_SECONDS": "1", "TASKLANE_RECOVERY_SECONDS": "5"}
LASTING = ("api", "callbacks", "sweeper")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """All roles but the worker, each a process under its function's own permissions."""

    roles: dict[str, RoleProcess]
    client: httpx.Client
    receiver: Receiver
    stack: Stack
    logs: Path

    @contextmanager
    def worker(self, **variables: str) -> Iterator[RoleProcess]:
        """A worker; each test has one of its own, so that it knows who has the task."""
        log = self.logs / f"worker-{len(list(self.logs.iterdir()))}"
        with a_role("worker", self.stack.environment("worker") | BRISK | variables, log) as process:
            process.wait_until_ready()
            yield process

    def submit(self, **parameters: Any) -> str:
        body = {"name": "report", "parameters": parameters, "callback_url": f"{self.receiver.url}/hook"}
        answer = self.client.post("/api/tasks", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        task: dict[str, Any] = self.client.get(f"/v1/tasks/{task_id}").json()
        return task

    def wait_for(self, task_id: str, status: str) -> None:
        wait_for(lambda: self.task(task_id)["status"] == status, f"{status}: {task_id}")

    def called_back(self, task_id: str) -> bool:
        return any(json.loads(request.body)["task_id"] == task_id for request in self.receiver.requests)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    logs = tmp_path_factory.mktemp("roles")
    with ExitStack() as context:
        stack = context.enter_context(a_stack(tmp_path_factory.mktemp("stack")))
        receiver = context.enter_context(a_receiver())
        started = {
            role: context.enter_context(a_role(role, stack.environment(role) | BRISK, logs / role)) for role in LASTING
        }
        for process in started.values():
            process.wait_until_ready()
        client = context.enter_context(httpx.Client(base_url=started["api"].url, timeout=30))
        yield Installation(roles=started, client=client, receiver=receiver, stack=stack, logs=logs)
        for process in started.values():
            process.ask_to_end()
        assert {role: process.exit_code() for role, process in started.items()} == dict.fromkeys(LASTING, 0)


def test_a_job_goes_from_one_role_to_the_next(installation: Installation) -> None:
    with installation.worker(TASKLANE_STOP_SECONDS="60") as worker:
        task_id = installation.submit(steps=2, step_seconds=0.1)
        wait_for(lambda: installation.called_back(task_id), "its callback")
        wait_for(lambda: any("TasksCompleted" in line for line in worker.lines), "the worker's metrics")
        assert {line["service"] for line in worker.lines} == {"worker"}

        delayed = installation.client.post("/v1/tasks", json={"type": "echo", "delay_seconds": 6}).json()["id"]
        installation.stack.aws.sqs.purge_queue(QueueUrl=installation.stack.deployment.lane3_queue_url)
        installation.wait_for(delayed, "completed")

        last = installation.submit(steps=3, step_seconds=0.5)
        installation.wait_for(last, "running")
        worker.ask_to_end()
        assert worker.exit_code() == 0
    assert installation.task(last)["status"] == "completed", "there was time enough to end it"

    api, callbacks, sweeper = (installation.roles[role] for role in LASTING)
    [accepted] = [line for line in api.actions("accepted") if line["task_id"] == task_id]
    assert (accepted["service"], bool(accepted["correlation_id"])) == ("api", True)
    wait_for(lambda: any("CallbacksDelivered" in line for line in callbacks.lines), "the metrics of callbacks")
    wait_for(lambda: any("SweepSent" in line for line in sweeper.lines), "what got lost was sent by the sweeper")


def test_a_worker_that_has_no_time_to_end_its_job_hands_it_on(installation: Installation) -> None:
    with installation.worker(TASKLANE_STOP_SECONDS="6") as worker:
        task_id = installation.submit(steps=30, step_seconds=0.2)
        wait_for(lambda: installation.task(task_id)["progress"], "some steps")
        worker.ask_to_end()
        assert worker.exit_code() == 0

    task = installation.task(task_id)
    assert (task["status"], task["attempt"], task["error"]) == ("pending", 1, None), "its attempt goes on"
    with installation.worker():
        installation.wait_for(task_id, "completed")
    assert installation.task(task_id)["attempt"] == 1


def test_a_role_whose_queue_does_not_answer_is_alive_but_not_ready(installation: Installation, tmp_path: Path) -> None:
    environment = installation.stack.environment("callbacks") | BRISK
    elsewhere = environment["TASKLANE_CALLBACK_QUEUE_URL"] + "-of-somebody-else"

    with a_role("callbacks", environment | {"TASKLANE_CALLBACK_QUEUE_URL": elsewhere}, tmp_path / "log") as process:
        wait_for(lambda: process.health("?deep=true")[1].get("unanswered") == ["callbacks"], "its health page")
        wait_for(lambda: process.actions("receive_failed"), "it has asked")
        assert process.health() == (200, {"status": "ok", "role": "callbacks"})
        assert process.health("?deep=true")[0] == 503


@pytest.mark.parametrize("role", ["worker", "callbacks"])
def test_a_role_whose_table_does_not_answer_is_not_ready(installation: Installation, tmp_path: Path, role: str) -> None:
    environment = installation.stack.environment(role) | BRISK | {"TASKLANE_TASKS_TABLE": "somebody-elses"}

    with a_role(role, environment, tmp_path / "log") as process:
        wait_for(lambda: process.health("?deep=true")[1].get("unanswered") == ["table"], "its health page")
        assert process.health("?deep=true")[0] == 503
        assert process.health()[0] == 200, "to start it anew would not help"


@pytest.mark.parametrize(
    ("role", "variables", "said"),
    [
        ("worker", {}, "worker: Settings are missing or wrong: TASKLANE_TASKS_TABLE: Field required; TASKLANE_"),
        ("worker", {"TASKLANE_RUNNERS": "0"}, "worker: Settings are wrong: TASKLANE_RUNNERS: Input should be greater"),
        ("cook", {}, "invalid choice: cook (choose from api, worker, callbacks, sweeper)"),
    ],
    ids=["missing", "wrong", "no such role"],
)
def test_what_cannot_work_says_why_in_one_line_and_ends(
    role: str, variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    with a_role(role, variables, tmp_path / "log") as process:
        assert process.exit_code() == 2
    assert said in process.log.read_text().splitlines()[-1].replace("'", "")
