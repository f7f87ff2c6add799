"""An installation on the cluster, as its users and its operators see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    import httpx

    from tests.cluster.kubectl import Kubectl
    from tests.cluster.node import Node
    from tests.support.runs import Run

TIME_SECONDS = 240
NOBODY = "http://127.0.0.1:9/nobody-listens"


@dataclass(frozen=True, kw_only=True)
class Installation:
    """``client`` speaks to the Service, each time to any pod; ``overlay`` is what was applied."""

    kubectl: Kubectl
    node: Node
    client: httpx.Client
    overlay: Path

    def job(self, callback_url: str = NOBODY, /, **parameters: float) -> str:
        """Submit a job of contract 3."""
        body = {"name": "report", "parameters": parameters, "callback_url": callback_url}
        return str(self._post("/api/tasks", body)["task_id"])

    def jobs(self, count: int, **parameters: float) -> set[str]:
        """Submit some, several at a time."""
        with ThreadPoolExecutor(4) as pool:
            return set(pool.map(lambda _: self.job(**parameters), range(count)))

    def nap(self, seconds: float, *, timeout_seconds: float) -> str:
        """Submit a task whose lease is as short as its time limit."""
        body = {"type": "sleep", "payload": {"seconds": seconds}, "timeout_seconds": timeout_seconds}
        return str(self._post("/v1/tasks", body)["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def running(self, task_ids: Iterable[str]) -> set[str]:
        return {one for one in task_ids if self.task(one)["status"] == "running"}

    def completed(self, task_ids: Collection[str]) -> list[dict[str, Any]]:
        """The tasks, once each has come to its end; that is what it should be."""
        left = set(task_ids)

        def all_over() -> bool:
            left.difference_update({one for one in left if self.task(one)["finished_at"]})
            return not left

        wait_for(all_over, f"the ends of {len(task_ids)} tasks", seconds=TIME_SECONDS)
        found = [self.task(one) for one in task_ids]
        assert {one["status"] for one in found} == {"completed"}
        return found

    def scale(self, role: str, replicas: int) -> None:
        """Have so many pods of a role, each ready."""
        self.kubectl("scale", f"deployment/tasklane-{role}", f"--replicas={replicas}")
        self.kubectl.wait_until_rolled_out(f"tasklane-{role}")
        wait_for(lambda: len(self.kubectl.pods(role)) == replicas, f"{replicas} pods of {role}")

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        return dict(answer.json())


def runs(tasks: Iterable[dict[str, Any]]) -> list[Run]:
    return [(datetime.fromisoformat(one["started_at"]), datetime.fromisoformat(one["finished_at"])) for one in tasks]
