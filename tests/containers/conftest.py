"""The image, built from the real Dockerfile, and an installation of containers of it."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from infra.local.engine import free_port
from tests.support import image as images
from tests.support.docker import Docker, a_docker
from tests.support.receiver import Receiver, a_receiver
from tests.support.stack import Stack, a_stack
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_SECONDS: Final = 30
RESTRICTED: Final = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=256m")
BRISK: Final = {
    "HOST": "127.0.0.1",
    "TASKLANE_POLL_SECONDS": "1",
    "TASKLANE_SWEEP_SECONDS": "1",
    "TASKLANE_RECOVERY_SECONDS": "5",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/containers/" in item.nodeid:
            item.add_marker(pytest.mark.apt)
            item.add_marker(pytest.mark.engine)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that was started in the background."""

    docker: Docker
    name: str
    url: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it printed, which is JSON line by line."""
        return [json.loads(line) for line in self.docker("logs", self.name).splitlines()]

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.docker.inspect(self.name)["State"])

    def completed(self) -> set[str]:
        """The tasks that it completed."""
        return {line["task_id"] for line in self.lines if line.get("action") == "task_completed"}

    def python(self, code: str) -> str:
        """What Python prints inside."""
        return self.docker("exec", self.name, "python", "-c", code)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Containers of every role, on a stack of their own."""

    docker: Docker
    stack: Stack
    receiver: Receiver
    roles: dict[str, Container]
    client: httpx.Client

    def submit(self, **parameters: Any) -> str:
        """Submit a job of contract 3 with a callback."""
        body = {"name": "report", "parameters": parameters, "callback_url": f"{self.receiver.url}/hook"}
        answer = self.client.post("/api/tasks", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task_id"])

    def state(self, task_id: str) -> str:
        return str(self.client.get(f"/api/tasks/{task_id}/state").json()["status"])

    def told(self) -> dict[str, str]:
        """What callbacks said: the status, by task."""
        bodies = [json.loads(request.body) for request in self.receiver.requests]
        return {body["task_id"]: body["status"] for body in bodies}

    def start(self, role: str, name: str) -> Container:
        """Start another container, and wait until it is ready."""
        container = start(self.docker, self.stack, role, name)
        wait_until_ready(container)
        return container


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with a_docker() as engine:
        yield engine


@pytest.fixture(scope="session")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `docker build` makes of the Dockerfile."""
    return images.make(docker, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def installation(docker: Docker, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with ExitStack() as context:
        stack = context.enter_context(a_stack(tmp_path_factory.mktemp("stack")))
        receiver = context.enter_context(a_receiver())
        roles = {
            "worker-1": "worker",
            "worker-2": "worker",
            "api": "api",
            "callbacks": "callbacks",
            "sweeper": "sweeper",
        }
        started = {name: start(docker, stack, role, name) for name, role in roles.items()}
        for container in started.values():
            wait_until_ready(container)
        client = context.enter_context(httpx.Client(base_url=started["api"].url, timeout=30))
        yield Installation(docker=docker, stack=stack, receiver=receiver, roles=started, client=client)


def start(docker: Docker, stack: Stack, role: str, name: str) -> Container:
    """Start a container as the docs show it, but on the host's network, and as little allowed as can be made."""
    port = free_port()
    words = " ".join(images.shown("run", role)).replace("--publish 8000:8000 ", "")
    with tempfile.TemporaryDirectory() as folder:
        variables = stack.environment(role) | BRISK | {"PORT": str(port)}
        Path(folder, f"{role}.env").write_text("".join(f"{key}={value}\n" for key, value in variables.items()))
        given = words.replace("--env-file ", f"--env-file {folder}/").split()
        docker("run", "--network=host", *RESTRICTED, "--health-interval=1s", "--name", name, *given)
    return Container(docker=docker, name=name, url=f"http://127.0.0.1:{port}")


def wait_until_ready(container: Container) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{container.url}/health?deep=true", timeout=10).status_code == 200
        except httpx.TransportError:
            state = container.state
            assert state["Running"], container.docker("logs", container.name)
            return False

    wait_for(is_ready, f"{container.name} is ready")
