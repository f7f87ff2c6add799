"""What operators do, and what happens to a cluster: no task is lost by it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.cluster import overlay
from tests.cluster.installation import TIME_SECONDS, Installation, runs
from tests.cluster.kubectl import KubectlError
from tests.support.runs import most_at_once
from tests.support.waiting import wait_for
from worker.poller import BATCH

if TYPE_CHECKING:
    from pathlib import Path

JOBS = 3 * BATCH
NOBODYS_LANES = {"TASKLANE_LANE_URLS": ",".join(f"http://nobody:80/000000000000/Lane{lane}" for lane in range(1, 6))}


def test_with_more_workers_more_jobs_run_at_once(installation: Installation) -> None:
    installation.scale("worker", 1)
    alone = runs(installation.completed(installation.jobs(JOBS, steps=2, step_seconds=1)))
    installation.scale("worker", 3)
    together = runs(installation.completed(installation.jobs(JOBS, steps=2, step_seconds=1)))

    assert most_at_once(alone) <= BATCH, "a worker runs one batch at a time"
    assert most_at_once(together) > BATCH, "several take part"


@pytest.mark.parametrize("how", ["killed", "deleted"])
def test_a_worker_that_is_gone_without_notice_loses_no_task(installation: Installation, how: str) -> None:
    installation.scale("worker", 2)
    tasks = {installation.nap(8, timeout_seconds=12) for _ in range(JOBS)}
    wait_for(lambda: len(installation.running(tasks)) > BATCH, "both workers have some", seconds=TIME_SECONDS)
    name, pod = next(iter(installation.kubectl.pods("worker").items()))

    if how == "killed":
        installation.node.kill(pod["status"]["containerStatuses"][0]["containerID"])
    else:
        installation.kubectl("delete", "pod", name, "--grace-period=0", "--force")

    attempts = [one["attempt"] for one in installation.completed(tasks)]
    assert set(attempts) == {1, 2}, "those that it had were begun again, and no others"
    installation.kubectl.wait_until_rolled_out("tasklane-worker")
    if how == "killed":
        (status,) = installation.kubectl.pods("worker")[name]["status"]["containerStatuses"]
        assert status["restartCount"] == 1
        assert status["lastState"]["terminated"]["exitCode"] == 137
    else:
        assert name not in installation.kubectl.pods("worker"), "another one took its place"


def test_a_rolling_restart_under_load_refuses_nothing_and_loses_nothing(installation: Installation) -> None:
    roles = ("api", "worker")
    before = {name for role in roles for name in installation.kubectl.pods(role)}
    jobs = installation.jobs(10, steps=2, step_seconds=0.5)

    installation.kubectl("rollout", "restart", *(f"deployment/tasklane-{role}" for role in roles))

    def is_over() -> bool:
        jobs.update(installation.jobs(10, steps=2, step_seconds=0.5))  # each is asserted to be taken
        there = {one["metadata"]["name"] for one in installation.kubectl.get("pods")["items"]}
        return not there & before

    wait_for(is_over, "no pod from before is left", seconds=TIME_SECONDS)
    installation.kubectl.wait_until_rolled_out(*overlay.DEPLOYMENTS)
    assert {one["attempt"] for one in installation.completed(jobs)} == {1}, "they ended or were handed back"


def test_an_eviction_leaves_some_at_work(installation: Installation, tmp_path: Path) -> None:
    installation.scale("worker", 2)
    wait_for(
        lambda: installation.kubectl.get("poddisruptionbudget", "tasklane-worker")["status"]["disruptionsAllowed"] == 1,
        "one may go",
    )
    first, second = installation.kubectl.pods("worker")

    evict(installation, first, tmp_path)

    with pytest.raises(KubectlError, match="disruption budget"):
        evict(installation, second, tmp_path)
    installation.kubectl.wait_until_rolled_out("tasklane-worker")


def evict(installation: Installation, pod: str, scratch: Path) -> None:
    """Do what a drain of the node does with each pod."""
    said = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pod}}
    (scratch / "eviction.json").write_text(json.dumps(said))
    place = f"/api/v1/namespaces/{overlay.NAMESPACE}/pods/{pod}/eviction"
    installation.kubectl("create", f"--raw={place}", f"--filename={scratch}/eviction.json")


@pytest.mark.parametrize("wrong", [NOBODYS_LANES, {"TASKLANE_TASKS_TABLE": "nobodys"}], ids=["lanes", "table"])
def test_settings_that_cannot_work_get_no_further_than_one_pod(
    installation: Installation, tmp_path: Path, wrong: dict[str, str]
) -> None:
    installation.scale("worker", 2)
    before = set(installation.kubectl.pods("worker"))
    overlay.change(tmp_path, installation.overlay, **wrong)
    installation.kubectl("apply", "--kustomize", tmp_path)

    def newcomers() -> set[str]:
        return set(installation.kubectl.pods("worker")) - before

    wait_for(lambda: any(is_refused(installation, one) for one in newcomers()), "one tries", seconds=TIME_SECONDS)
    assert len(newcomers()) == 1
    assert before <= set(installation.kubectl.pods("worker")), "who works stays"
    installation.kubectl("apply", "--kustomize", installation.overlay)
    installation.kubectl.wait_until_rolled_out(*overlay.DEPLOYMENTS)
    installation.completed({installation.job(steps=1, step_seconds=0)})


def is_refused(installation: Installation, pod: str) -> bool:
    """Whether it said that it is not ready, which is no reason to start it anew."""
    events = installation.kubectl.get("events", f"--field-selector=involvedObject.name={pod}")["items"]
    return any(re.search("Readiness probe failed.*statuscode: 503", one["message"]) for one in events)
