"""A Docker engine of the test's own: its own socket, its own folders, no network but the host's."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINE: Final = "dockerd"
CLIENT: Final = Path("/usr/bin/docker")
"""The client that came with the engine: another one on the PATH may be of a version that needs a plugin to build."""
MEMORY: Final = Path("/dev/shm")
NEEDED: Final = 2**30
"""Bytes that image and containers take at most."""
ISOLATED: Final = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")


class DockerError(AssertionError):
    """What Docker said when a command failed."""


@dataclass(frozen=True, kw_only=True)
class Docker:
    """The engine's command line."""

    host: str

    def __call__(self, *arguments: str | Path, check: bool = True, seconds: float = 300) -> str:
        """Run a command; its output, that on stderr too."""
        client = CLIENT if CLIENT.exists() else "docker"
        done = subprocess.run(
            [client, *arguments],
            env=os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise DockerError(f"docker {' '.join(map(str, arguments))}\n{done.stdout}")
        return done.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """What there is to know about a container or an image."""
        (found,) = json.loads(self("inspect", name))
        return dict(found)


@contextmanager
def a_docker() -> Iterator[Docker]:
    """Start an engine; skips, saying why, where there is none or it may not be started."""
    if not shutil.which(ENGINE):
        pytest.skip("no Docker engine here (Debian and Ubuntu: apt-get install docker.io)")
    if os.geteuid() != 0:
        pytest.skip("only root can start a Docker engine")
    folder = Path(tempfile.mkdtemp(prefix="tasklane-docker-", dir=_place()))
    folders = [f"--{name}={folder / name}" for name in ("data-root", "exec-root", "pidfile")]
    docker = Docker(host=f"unix://{folder}/socket")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ENGINE, "--host", docker.host, *folders, *ISOLATED, "--storage-driver=overlay2"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def answers() -> bool:
        if process.poll() is not None:
            pytest.skip(f"the Docker engine does not start here:\n{log.read_text()[-2000:]}")
        return "Server Version" in docker("info", check=False)

    try:
        wait_for(answers, "the Docker engine answers")
        yield docker
    finally:
        if process.poll() is None and (left := docker("ps", "--all", "--quiet").split()):
            docker("rm", "--force", *left)
        process.terminate()
        process.wait(60)
        _unmount(folder)
        shutil.rmtree(folder)


def _place() -> str:
    """Where the path of a socket stays short, and tens of thousands of files come and go quickly."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * NEEDED
    return str(MEMORY) if roomy else "/tmp"


def _unmount(folder: Path) -> None:
    """The engine leaves its network namespace mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    for line in Path("/proc/mounts").read_text().splitlines():
        if (place := line.split()[1]).startswith(f"{folder}/"):
            libc.umount2(place.encode(), 0)
