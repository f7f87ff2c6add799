"""The local run, started with the README's own command."""

import contextlib
import fcntl
import os
import subprocess
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.engine import free_port
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SHOWN_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, kw_only=True)
class LocalRun:
    """A run that is ready."""

    url: str
    output: Path

    def as_run(self, text: str) -> str:
        """``text`` as the README shows it, with the ports that this run has."""
        return text.replace(SHOWN_URL, self.url)


@pytest.fixture(scope="session")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    output = tmp_path_factory.mktemp("run") / "output"
    port = free_port()
    command = ["make", "run", f"PORT={port}", f"ENGINE_PORT={free_port()}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    output.touch()
    terminal, end = os.openpty()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"TERM": "dumb"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - before any thread: a terminal where Ctrl-C can be typed
    )
    os.close(end)
    reader = threading.Thread(target=_copy, args=(terminal, output))
    reader.start()

    def is_ready_or_over() -> bool:
        return process.poll() is not None or "Ctrl-C ends everything" in output.read_text()

    try:
        wait_for(is_ready_or_over, seconds=60)
        assert process.poll() is None, output.read_text()
        yield LocalRun(url=f"http://127.0.0.1:{port}", output=output)
    finally:
        if process.poll() is None:
            os.write(terminal, b"\x03")
        process.wait(timeout=30)
        reader.join()
        os.close(terminal)
    assert process.returncode == 0, output.read_text()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _copy(terminal: int, output: Path) -> None:
    with output.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # EIO: nobody writes any more
        while data := os.read(terminal, 65_536):
            file.write(data.replace(b"\r\n", b"\n"))
