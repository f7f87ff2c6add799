"""A role of an installation as a process: ``python -m infra.container ROLE``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.local.engine import free_port
from infra.local.target import without_sdk_variables
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOT_OURS = ("TASKLANE_", "POWERTOOLS_", "PORT", "HOST")


@dataclass(frozen=True, kw_only=True)
class RoleProcess:
    """One that was started; ``log`` is what it printed."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it printed so far, which is JSON line by line; a line that is being written is left out."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def actions(self, action: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("action") == action]

    def health(self, query: str = "") -> tuple[int, dict[str, Any]]:
        """The answer of its health page; status 0 where there is none."""
        try:
            with urllib.request.urlopen(f"{self.url}/health{query}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, json.load(exc)
        except OSError as exc:
            return 0, {"status": str(exc)}

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.health("?deep=true")[0] == 200

        wait_for(is_ready, f"{self.url} is ready")

    def ask_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)


@contextmanager
def a_role(role: str, environment: Mapping[str, str], log: Path) -> Iterator[RoleProcess]:
    """Start it on a free port of 127.0.0.1; it is killed at the end, if it is still there."""
    port = free_port()
    inherited = {
        name: value for name, value in without_sdk_variables(os.environ).items() if not name.startswith(NOT_OURS)
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.container", role],
            env={**inherited, "HOST": "127.0.0.1", "PORT": str(port), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RoleProcess(process=process, url=f"http://127.0.0.1:{port}", log=log)
    finally:
        process.kill()
        process.wait()
