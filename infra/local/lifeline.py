"""A child process that never outlives the run, however the run ends (even by kill -9).

Parent and child hold the two ends of a socket pair. When the parent is gone the operating system closes its end, and
the child, which waits for that, ends itself. Before that the pair carries one word of the child (it is ready) and one
line of the parent (what the child needs to know).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STOP_SECONDS = 8.0
PIPE = subprocess.PIPE
READY = b"."


@dataclass(kw_only=True)
class Child:
    """A running Python module and the parent's end of its lifeline."""

    process: subprocess.Popen[str]
    lifeline: socket.socket
    own_group: bool
    _stopped: bool = field(default=False, init=False)

    def wait_until_ready(self) -> bool:
        """Wait for the child's word (`say_ready`); False if it ended before."""
        try:
            return self.lifeline.recv(len(READY)) == READY
        except ConnectionError:
            return False

    def tell(self, line: str) -> None:
        """Send the child the one line that it waits for (`read_line`)."""
        self.lifeline.sendall(line.encode() + b"\n")

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def ask_to_end(self) -> None:
        """Send SIGTERM and return; `stop` is still to be called."""
        self.process.terminate()

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        """End the process with SIGTERM, and with SIGKILL what is left of it after the grace; safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        self.process.terminate()
        try:
            self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.own_group:
            _kill_group(self.process.pid)
        self.lifeline.close()


def start(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str],
    output: IO[str] | int | None = None,
    keep_fds: Sequence[int] = (),
    own_group: bool = False,
) -> Child:
    """Start `python -m module LIFELINE ARGUMENTS…`.

    own_group: keeps the terminal's Ctrl-C from it (it is stopped in order) and ends what it started along with it.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno()), *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL if own_group else None,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            pass_fds=[theirs.fileno(), *keep_fds],
            start_new_session=own_group,
            text=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Child(process=process, lifeline=ours, own_group=own_group)


def say_ready(lifeline: int) -> None:
    """In the child: say that it can go on as soon as the parent's line comes."""
    os.write(lifeline, READY)


def read_line(lifeline: int) -> str:
    """In the child: wait for the parent's line; empty if the parent is gone."""
    received = b""
    while not received.endswith(b"\n"):
        part = os.read(lifeline, 65536)
        if not part:
            return ""
        received += part
    return received.decode()


def end_with_parent(lifeline: int, clean_up: Callable[[], None] = lambda: None) -> None:
    """In the child: end this process (SIGTERM, and SIGKILL if that does not do it) when the parent is gone."""

    def wait() -> None:
        while os.read(lifeline, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(STOP_SECONDS)
        clean_up()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
