"""What `kubectl apply --kustomize` makes of the manifests: contract 3, on a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.container.__main__ import ROLES
from tests.cluster.overlay import DEPLOYMENTS
from tests.support import image as images

if TYPE_CHECKING:
    from tests.cluster.installation import Installation

RECEIVE = """
import http.server

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)

with http.server.HTTPServer(("127.0.0.1", 9000), Hook) as server:
    server.timeout = 120
    print("listens", flush=True)
    server.handle_request()
"""
"""Takes one callback, where it can be taken: other addresses of such a network are private, and never called."""


def test_every_role_gets_ready_and_stays_so(installation: Installation) -> None:
    found = {one["metadata"]["name"]: one for one in installation.kubectl.get("deployments")["items"]}

    assert found.keys() == set(DEPLOYMENTS)
    for name, one in found.items():
        assert one["status"]["readyReplicas"] == one["spec"]["replicas"] == one["status"]["updatedReplicas"], name
    pods = [pod for role in ROLES for pod in installation.kubectl.pods(role).values()]
    assert {container["restartCount"] for pod in pods for container in pod["status"]["containerStatuses"]} == {0}


def test_a_pod_may_do_next_to_nothing(installation: Installation) -> None:
    for role in ROLES:
        for name in installation.kubectl.pods(role):
            said = installation.kubectl("exec", name, "--", "python", "-c", images.LOOK_AROUND)
            assert json.loads(said) == images.ALLOWED_NOTHING, name
            assert "No such file" in installation.kubectl(
                "exec", name, "--", "python", "-c", "open('/var/run/secrets/kubernetes.io')", check=False
            ), "no token of Kubernetes"


def test_a_job_is_watched_through_the_service_to_its_end(installation: Installation) -> None:
    task_id = installation.job(steps=4, step_seconds=0.5)

    with installation.client.stream("GET", f"/api/tasks/{task_id}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]

    assert {one["task_id"] for one in events} == {task_id}
    assert [one["status"] for one in events][-1] == "COMPLETED"
    assert events[0]["status"] in ("PENDING", "RUNNING")
    assert events[-1] == installation.client.get(f"/api/tasks/{task_id}/state").json()


def test_its_callback_is_delivered(installation: Installation) -> None:
    (pod,) = installation.kubectl.pods("callbacks")
    with installation.kubectl.python(pod, RECEIVE) as printed:
        assert printed.readline() == "listens\n"
        task_id = installation.job("http://127.0.0.1:9000/hook", steps=1, step_seconds=0)
        body = json.loads(printed.readline())

    assert (body["task_id"], body["status"], body["error"]) == (task_id, "COMPLETED", None)
    assert body["result"]["parameters"] == {"steps": 1, "step_seconds": 0}


def test_the_dashboard_is_served(installation: Installation) -> None:
    answer = installation.client.get("/dashboard")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<title>" in answer.text


def test_the_service_leads_to_every_pod_of_the_api(installation: Installation) -> None:
    jobs = installation.jobs(30, steps=1, step_seconds=0)

    logs = [installation.kubectl("logs", name).splitlines() for name in installation.kubectl.pods("api")]
    accepted = [{line["task_id"] for line in map(json.loads, one) if line.get("action") == "accepted"} for one in logs]
    assert all(jobs & one for one in accepted)
    assert jobs <= set().union(*accepted)


def test_the_network_policies_are_taken(installation: Installation) -> None:
    """The cluster of these tests has no network plugin that would enforce them."""
    found = {one["metadata"]["name"]: one["spec"] for one in installation.kubectl.get("networkpolicies")["items"]}

    assert found.keys() == {"tasklane", "tasklane-api"}
    assert found["tasklane"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in found["tasklane"]
