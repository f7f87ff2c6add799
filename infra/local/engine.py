"""Starts and stops the embedded engine (ministack) as a child process, on 127.0.0.1 only."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local import lifeline, target
from infra.local.errors import LocalRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.lifeline import Child
    from infra.local.target import Target

HOST = "127.0.0.1"
MODULE = "infra.local.engine_process"
START_SECONDS = 30.0
LOG_LINES = 25


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine's process and where it listens."""

    target: Target
    child: Child
    log: Path

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when the engine answers; raises LocalRunError with the end of its log if it does not."""
        deadline = time.monotonic() + seconds
        while not _answers(self.target.endpoint):
            if self.child.has_ended or time.monotonic() > deadline:
                raise LocalRunError(
                    f"The engine did not start at {self.target.endpoint}; run `make clean` and `make run` again, or "
                    f"choose another port (make run ENGINE_PORT=…). The end of its log:\n{self.tail()}"
                )
            time.sleep(0.02)

    def tail(self) -> str:
        """Give the last lines of the engine's log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


@contextmanager
def running(*, port: int, scratch: Path, state: Path | None = None) -> Iterator[Engine]:
    """Start the engine, and stop it with everything that it started.

    scratch: an empty folder for its temporary files and its log; the engine removes it if its parent is killed.
    state: a folder that keeps tables, queues, objects and functions from run to run; None forgets them.
    Returns before the engine is ready (`wait_until_ready`).
    """
    require_free_port(port, "ENGINE_PORT")
    if state:
        _require_same_port(port, state)
    temporary = scratch / "engine"
    temporary.mkdir()
    log = scratch / "engine.log"
    with log.open("w", encoding="utf-8") as output:
        child = lifeline.start(
            MODULE,
            [str(scratch)],
            environment=_environment(port, temporary, state),
            output=output,
            own_group=True,
        )
    try:
        yield Engine(target=target.at_port(port), child=child, log=log)
    finally:
        child.stop()


def free_port() -> int:
    """Give a port of 127.0.0.1 where nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free_port(port: int, variable: str) -> None:
    """Raise LocalRunError, naming the make variable that moves it, if somebody listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            raise LocalRunError(
                f"Port {port} is taken: end what listens there or choose another one (make run {variable}={port + 1})."
            ) from exc


def _require_same_port(port: int, state: Path) -> None:
    """Raise LocalRunError for state that was kept on another port: its queues are known by URLs with that port."""
    note = state / "port"
    if note.exists() and note.read_text(encoding="utf-8") != str(port):
        raise LocalRunError(
            f"What PERSIST=1 keeps in {state} belongs to ENGINE_PORT={note.read_text(encoding='utf-8')}: "
            "use that port, or remove the folder."
        )
    state.mkdir(parents=True, exist_ok=True)
    note.write_text(str(port), encoding="utf-8")


def _environment(port: int, temporary: Path, state: Path | None) -> dict[str, str]:
    keep = state or temporary
    return target.without_sdk_variables(os.environ) | {
        # Without these three it listens on all interfaces and on two more ports.
        "BIND_HOST": HOST,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        # Signatures are verified and the template's policies enforced; the account's own key is the root user.
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": target.ACCOUNT_KEY,
        "AWS_SECRET_ACCESS_KEY": target.ACCOUNT_KEY,
        "AWS_DEFAULT_REGION": target.REGION,
        "MINISTACK_REGION": target.REGION,
        "MINISTACK_HOST": "localhost",  # the hosts of API Gateway work under this name only
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{temporary}/no-docker",  # it would look for containers of its own and reap them
        "USE_SSL": "0",
        "TMPDIR": str(temporary),  # it leaves a folder per Lambda worker behind
        "PERSIST_STATE": "1" if state else "0",
        "S3_PERSIST": "1" if state else "0",
        "STATE_DIR": str(keep / "state"),
        "S3_DATA_DIR": str(keep / "s3"),
        "LOG_LEVEL": "WARNING",
    }


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5) as answer:  # noqa: S310 - http only
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
