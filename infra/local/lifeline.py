"""A child process that never outlives the run, however the run ends (even by kill -9).

Parent and child hold the two ends of a socket pair. When the parent is gone the operating system closes its end, and
the child, which waits for that, ends itself. Before that the pair carries the parent's lines, and the child's word that
it is ready for the next.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

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
        """Wait for the child's word (`Parent.say_ready`); False if it ended before."""
        try:
            return self.lifeline.recv(len(READY)) == READY
        except ConnectionError:
            return False

    def tell(self, line: str) -> None:
        """Send the child a line (`Parent.next_line`); a child that has ended does not hear it."""
        with suppress(ConnectionError):
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
            encoding="utf-8",
            errors="backslashreplace",  # whoever prints it must bear what a library writes there by itself
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Child(process=process, lifeline=ours, own_group=own_group)


class Parent:
    """In the child: its end of the lifeline."""

    def __init__(self, lifeline: int) -> None:
        """Take the descriptor that the child got as its first argument."""
        self._socket = socket.socket(fileno=lifeline)
        self._lines = self._socket.makefile(encoding="utf-8")

    def say_ready(self) -> None:
        """Tell the parent that its next line can come."""
        self._socket.sendall(READY)

    def next_line(self) -> str:
        """Wait for a line of the parent; empty if the parent is gone."""
        return self._lines.readline()

    def end_with_it(self, last: Callable[[], object] = lambda: None) -> None:
        """From now on, end this process (SIGTERM, and SIGKILL if that does not do it) when the parent is gone.

        last: what is still to be done before SIGKILL, which leaves nothing the time to be tidy.
        """

        def wait() -> None:
            while self._socket.recv(1024):
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(STOP_SECONDS)
            try:
                last()
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=wait, name="lifeline", daemon=True).start()


def interrupt_once() -> None:
    """Turn the first Ctrl-C or SIGTERM into a KeyboardInterrupt, and let nothing disturb the end after it."""

    def interrupt(_: int, __: FrameType | None) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
