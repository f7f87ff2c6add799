"""kubectl, as somebody who runs the cluster types it."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class KubectlError(AssertionError):
    """What kubectl said when a command failed."""


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """Its commands; ``config`` says where the cluster is, and who asks."""

    config: Path
    namespace: str = "default"

    def __call__(self, *arguments: str | Path, check: bool = True, seconds: float = 300) -> str:
        """Run a command; its output, that on stderr too."""
        done = subprocess.run(
            [program(), f"--kubeconfig={self.config}", f"--namespace={self.namespace}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise KubectlError(f"kubectl {' '.join(map(str, arguments))}\n{done.stdout}")
        return done.stdout.strip()

    @contextmanager
    def python(self, pod: str, code: str) -> Iterator[IO[str]]:
        """Run Python in a pod for as long as the context lasts; what it prints."""
        command = [program(), f"--kubeconfig={self.config}", f"--namespace={self.namespace}", "exec", pod, "--"]
        with subprocess.Popen([*command, "python", "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            try:
                yield process.stdout
            finally:
                process.kill()

    def within(self, namespace: str) -> Kubectl:
        """The same for another namespace."""
        return replace(self, namespace=namespace)

    def get(self, *arguments: str) -> Any:
        """What there is."""
        return json.loads(self("get", *arguments, "--output=json"))

    def pods(self, role: str) -> dict[str, dict[str, Any]]:
        """The pods of a role that nobody has told to end, by their names."""
        found = self.get("pods", f"--selector=app.kubernetes.io/component={role}")["items"]
        return {one["metadata"]["name"]: one for one in found if "deletionTimestamp" not in one["metadata"]}

    def wait_until_rolled_out(self, *deployments: str, seconds: int = 180) -> None:
        for name in deployments:
            self("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s", seconds=seconds + 10)


def program() -> str:
    found = shutil.which("kubectl")
    if not found:
        pytest.skip("no kubectl here")
    return found
