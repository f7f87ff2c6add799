"""The real Dockerfile, built, and its roles as containers: put to work, scaled out, stopped and killed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra import template
from infra.container.__main__ import ROLES
from tests.containers.conftest import STOP_SECONDS, Installation
from tests.support import image as images
from tests.support.docker import Docker, DockerError
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable


def run_to_its_end(docker: Docker, image: str, *command: str, options: Iterable[str] = ()) -> str:
    return docker("run", "--rm", "--network=none", *options, image, *command, check=False)


# -- the image ---------------------------------------------------------------------------------------------------------


def test_the_image_has_what_ships_and_nothing_of_development(docker: Docker, image: str) -> None:
    code = (
        "import os, json; print(json.dumps([p for f, _, n in os.walk('/app') for p in [f, *(f + '/' + x for x in n)]]))"
    )
    paths = json.loads(run_to_its_end(docker, image, "-c", code, options=["--entrypoint=python"]).splitlines()[-1])

    tops = {path.split("/")[2] for path in paths if path.count("/") >= 2}
    infra = {path.removeprefix("/app/infra/").split("/")[0] for path in paths if path.startswith("/app/infra/")}
    assert tops == {"packages", "functions", "infra"}
    assert infra == {"__init__.py", "http_server.py", "proxies.py", "container", "__pycache__"}
    assert not [
        path for path in paths if path.rsplit("/", 1)[-1] in ("pip", "pytest", "ministack", "moto", "Dockerfile")
    ]
    sources = [path for path in paths if path.endswith(".py") and "/packages/" not in path]
    assert len(sources) > 100
    for source in sources:
        folder, name = source.rsplit("/", 1)
        assert f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-313.pyc" in paths, "compiled at every start"


def test_nothing_can_be_installed_in_it(docker: Docker, image: str) -> None:
    assert "No module named pip" in run_to_its_end(docker, image, "-m", "pip", options=["--entrypoint=python"])


def test_it_runs_the_functions_runtime_as_nobody(docker: Docker, image: str) -> None:
    said = run_to_its_end(
        docker, image, "-c", "import sys, os; print(sys.version, os.getuid())", options=["--entrypoint=python"]
    ).splitlines()[-1]
    runtime = template.load()["Globals"]["Function"]["Runtime"].removeprefix("python")

    assert said.startswith(f"{runtime}.")
    assert said.endswith(" 10001")


def test_the_image_says_what_it_is(docker: Docker, image: str) -> None:
    config = docker.inspect(image)["Config"]

    assert config["Labels"]["org.opencontainers.image.title"] == "tasklane"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"] == {"8000/tcp": {}}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_without_settings_says_which_are_missing(docker: Docker, image: str, role: str) -> None:
    with pytest.raises(DockerError, match=f"\n{role}: Settings are missing or wrong: TASKLANE_TASKS_TABLE: Field req"):
        docker("run", "--network=none", "--rm", image, role)


# -- the installation --------------------------------------------------------------------------------------------------


def test_containers_are_allowed_next_to_nothing(installation: Installation) -> None:
    for name, container in installation.roles.items():
        found: dict[str, Any] = json.loads(container.python(images.LOOK_AROUND))
        assert found == images.ALLOWED_NOTHING, name
        assert container.state["OOMKilled"] is False
    wait_for(
        lambda: all(one.state["Health"]["Status"] == "healthy" for one in installation.roles.values()),
        "all are healthy",
    )


def test_jobs_are_shared_by_the_workers_and_called_back(installation: Installation) -> None:
    jobs = {installation.submit(steps=2, step_seconds=0.5) for _ in range(40)}

    wait_for(lambda: jobs <= set(installation.told()), "every job's callback")

    assert {installation.told()[job] for job in jobs} == {"COMPLETED"}
    shares = [jobs & installation.roles[name].completed() for name in ("worker-1", "worker-2")]
    assert all(shares), "both took part"
    assert shares[0] | shares[1] == jobs
    assert not shares[0] & shares[1]


def test_a_worker_that_is_stopped_ends_or_hands_back_what_it_has(installation: Installation) -> None:
    jobs = {installation.submit(steps=4, step_seconds=0.5) for _ in range(20)}
    wait_for(lambda: any(installation.state(job) == "RUNNING" for job in jobs), "they are worked on")

    installation.docker("stop", f"--time={STOP_SECONDS}", "worker-2")

    assert installation.roles["worker-2"].state["ExitCode"] == 0, "in time: 137 if it had been killed"
    wait_for(lambda: jobs <= set(installation.told()), "every job's callback")
    assert {installation.told()[job] for job in jobs} == {"COMPLETED"}


def test_a_job_of_a_worker_that_is_killed_ends_all_the_same(installation: Installation) -> None:
    installation.docker("stop", f"--time={STOP_SECONDS}", "worker-2")  # so that it is known who has the job
    body = {"type": "sleep", "payload": {"seconds": 2}, "timeout_seconds": 4}
    task_id = installation.client.post("/v1/tasks", json=body).json()["id"]
    wait_for(lambda: installation.client.get(f"/v1/tasks/{task_id}").json()["status"] == "running", "it runs")
    installation.docker("kill", "worker-1")
    assert installation.roles["worker-1"].state["ExitCode"] == 137

    installation.start("worker", "worker-3")

    wait_for(lambda: installation.client.get(f"/v1/tasks/{task_id}").json()["status"] == "completed", "it ends")
    task = installation.client.get(f"/v1/tasks/{task_id}").json()
    assert task["attempt"] == 2
    assert installation.roles["sweeper"].lines


def test_every_role_ends_when_it_is_told_to(installation: Installation) -> None:
    names = installation.docker("ps", "--format={{.Names}}").split()
    assert {"api", "callbacks", "sweeper"} <= set(names)

    installation.docker("stop", f"--time={STOP_SECONDS}", *names)

    codes = {name: installation.docker.inspect(name)["State"]["ExitCode"] for name in names}
    assert codes == dict.fromkeys(names, 0)
