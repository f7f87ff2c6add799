"""Programs that run as long as a test needs them, and end with it whatever happens."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE_SECONDS: Final = 20
DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")


@contextmanager
def a_process(
    folder: Path, name: str, command: Sequence[str | Path], *, end: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Start it; what it prints is in ``name``.log. ``end`` ends it, or else SIGKILL."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*DIES_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the test, which ends them in their order
        )
    try:
        yield process
    finally:
        process.send_signal(end)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def flags(**options: object) -> list[str]:
    """``--secure-port=6443`` of ``secure_port=6443``."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
