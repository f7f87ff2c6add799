"""Serves the API on its port, in a process that is replaced when the code changes."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.local import lifeline, target
from infra.local.engine import HOST
from infra.local.errors import LocalRunError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from infra.local.lifeline import Child
    from infra.local.terminal import Terminal

MODULE = "infra.local.api_process"
READY_SECONDS = 30.0
STOP_SECONDS = 4.0  # a handler may be at a breakpoint
POLL_LANES = "TASKLANE_LOCAL_POLL_LANES"
"""Variable that has the API's process work on the lanes too."""


class Api:
    """The API's port and the process that serves it."""

    def __init__(self, *, port: int, functions: Path, terminal: Terminal, debug: bool) -> None:
        """Take the port and start importing the code.

        debug: the process gets the terminal itself, for breakpoint(). Raises LocalRunError if the port is taken.
        """
        self.port = port
        self._functions = functions
        self._terminal = terminal
        self._debug = debug
        try:
            self._socket = socket.create_server((HOST, port), backlog=2048)
        except OSError as exc:
            raise LocalRunError(
                f"Port {port} is taken: end what listens there or choose another one (make run PORT={port + 1})."
            ) from exc
        self._spare: Child | None = None
        self._next: Child | None = None
        self._serving: Child | None = None
        self._imported = False
        self.prepare()

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://{HOST}:{self.port}"

    def keep_spare(self) -> None:
        """Have a process at hand that has imported the libraries, so that the next edit is live sooner."""
        self._spare = self._spare or self._start()

    def prepare(self) -> None:
        """Import the code as it is now, in another process; the one that serves goes on."""
        spare, self._spare = self._spare, None
        if self._next:
            self._next.stop(STOP_SECONDS)
        self._next = spare if spare and not spare.has_ended else self._start()
        self._next.tell("import")
        self._imported = False

    def can_take_over(self) -> bool:
        """Wait until the prepared process has imported the code; False if the code cannot be imported."""
        if self._next and not self._imported:
            self._imported = self._next.wait_until_ready()
        return self._imported

    def serve(self, environment: Mapping[str, str]) -> bool:
        """Let the prepared process take over, with these variables; returns when it answers.

        False if nothing is prepared, its code cannot be imported (then what served before goes on) or does not start.
        """
        child = self._next
        if child is None or not self.can_take_over():
            return False
        before, self._serving, self._next = self._serving, child, None
        if before:
            before.ask_to_end()  # it takes no more requests, but may still be answering one
        child.tell(json.dumps(dict(environment)))
        answers = self._answers(child)
        if before:
            before.stop(STOP_SECONDS)
        return answers

    @property
    def has_ended(self) -> bool:
        """Whether the process that served is gone, though nobody ended it."""
        return self._serving is not None and self._serving.has_ended

    def close(self) -> None:
        """End the processes and give the port back."""
        for child in (self._spare, self._next, self._serving):
            if child:
                child.stop(STOP_SECONDS)
        self._socket.close()

    def _answers(self, child: Child) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while not child.has_ended and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()  # noqa: S310 - our own
            except urllib.error.HTTPError:
                return True
            except OSError:
                continue
            return True
        return False

    def _start(self) -> Child:
        fd = self._socket.fileno()
        child = lifeline.start(
            MODULE,
            [str(fd), str(self._functions)],
            environment=target.without_sdk_variables(os.environ) | {"PYTHONUNBUFFERED": "1"},
            output=None if self._debug else lifeline.PIPE,
            keep_fds=[fd],
        )
        if not self._debug:
            threading.Thread(target=self._print_output, args=[child.process], name="api-output", daemon=True).start()
        return child

    def _print_output(self, process: subprocess.Popen[str]) -> None:
        if process.stdout:
            with process.stdout:
                for line in process.stdout:
                    self._terminal.log("api", line)


@contextmanager
def serving(*, port: int, functions: Path, terminal: Terminal, debug: bool) -> Iterator[Api]:
    """Hold the API's port and process while the context lasts."""
    api = Api(port=port, functions=functions, terminal=terminal, debug=debug)
    try:
        yield api
    finally:
        api.close()
