"""The real local run in a process of its own, and a real receiver for callbacks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.engine import free_port
from tests.support.waiting import PATIENCE_SECONDS, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
READY = "Ctrl-C ends everything"


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_naming(text: str) -> list[str]:
    """The command lines of all processes that name this text."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if text in line and line.split()[1][0] != "Z"]


class LocalRun:
    """`python -m infra.local` on free ports, with a copy of the functions and a temporary folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.functions = folder / "functions"
        if not self.functions.exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "functions", self.functions, ignore=ignored)
        self.scratch = folder / "tmp"
        self.scratch.mkdir(exist_ok=True)
        self.port, self.engine_port = free_port(), int(environment.get("ENGINE_PORT") or free_port())
        self.output = ""
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def engine_url(self) -> str:
        return f"http://127.0.0.1:{self.engine_port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process
        return self._process

    def start(self, *, terminal: bool = False) -> LocalRun:
        """Start it without waiting.

        terminal: it gets a terminal, as a developer has one; `type` then types into it.
        """
        command = [sys.executable, "-m", "infra.local", "--functions", str(self.functions)]
        command += ["--state", str(self.folder / "state")]
        keyboard, screen = os.openpty() if terminal else os.pipe()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=screen if terminal else subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # as in a terminal: Ctrl-C goes to a whole group, and not to the tests
        )
        os.close(screen)
        self._keyboard = os.fdopen(keyboard, "r+b" if terminal else "rb", buffering=0)
        threading.Thread(target=self._collect, daemon=True).start()
        return self

    def type(self, line: str) -> None:
        """Type a line into its terminal."""
        self._keyboard.write(line.encode() + b"\n")

    @property
    def environment(self) -> dict[str, str]:
        """The process's variables."""
        return os.environ | {
            "PORT": str(self.port),
            "ENGINE_PORT": str(self.engine_port),
            "TMPDIR": str(self.scratch),
            **dict.fromkeys(("DEBUG", "PERSIST", "WEBHOOK_SECRET", "AWS_ENDPOINT_URL"), ""),
            **self._environment,
        }

    def wait_until_ready(self) -> LocalRun:
        def said() -> bool:
            assert self.process.poll() is None, f"it ended at once:\n{self.output}"
            return READY in self.output

        wait_for(said, f"the ready lines; so far:\n{self.output}")
        return self

    def interrupt(self, signum: int = signal.SIGINT) -> int:
        """Press Ctrl-C: the signal goes to the whole group, as the terminal sends it. Gives the exit code."""
        os.killpg(self.process.pid, signum)
        return self.process.wait(PATIENCE_SECONDS)

    def assert_nothing_left(self) -> None:
        assert not is_listening(self.port)
        assert not is_listening(self.engine_port)
        assert list(self.scratch.iterdir()) == []
        wait_for(lambda: not processes_naming(str(self.folder)), "the end of every process")

    def kill(self) -> None:
        """End it whatever state it is in; for the end of a test that failed."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _collect(self) -> None:
        with suppress(OSError), self._keyboard as output:  # a terminal that is gone is an error, not an end
            while part := output.read(65536):
                self.output += part.decode(errors="replace")


@contextmanager
def local_run(folder: Path, *, terminal: bool = False, **environment: str) -> Iterator[LocalRun]:
    """A run that is ready; ended at the end of the context."""
    run = LocalRun(folder, **environment)
    try:
        yield run.start(terminal=terminal).wait_until_ready()
    finally:
        run.kill()


@dataclass
class Callback:
    """What the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A real HTTP server that takes callbacks and offers one document for download."""

    url: str
    document: bytes
    received: list[Callback] = field(default_factory=list)


@contextmanager
def receiver(document: bytes = b"") -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.received.append(Callback(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512  # five, the default, is fewer than come at once: the kernel would drop the others

    server = Server(("127.0.0.1", 0), Handler)
    found = Receiver(url=f"http://127.0.0.1:{server.server_address[1]}", document=document)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def submit(client: httpx.Client, **task: Any) -> str:
    answer = client.post("/v1/tasks", json=task)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["id"]
    return task_id


def result_of(client: httpx.Client, task_id: str, seconds: float = PATIENCE_SECONDS, *, wait: int = 5) -> Any:
    """Wait for the task to complete and give its result; wait: how many seconds one request may wait."""

    def completed() -> bool:
        task = client.get(f"/v1/tasks/{task_id}", params={"wait": wait}).json()
        assert task["status"] not in ("failed", "cancelled", "expired"), task
        return bool(task["status"] == "completed")

    wait_for(completed, f"completion of {task_id}", seconds=seconds)
    return client.get(f"/v1/tasks/{task_id}/result").json()
