"""`tasklane demo` as people run it: with an installation of its own, or on one that runs already."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.local_run import LocalRun, processes_naming
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TASKLANE = Path(sys.executable).with_name("tasklane")
SECONDS = 180
"""A machine that does other things, too."""


class Demo:
    """A demonstration in a process and a temporary folder of its own."""

    def __init__(self, folder: Path, *words: str, terminal: bool = False, **variables: str) -> None:
        self.output = ""
        self.log = folder / "log"
        self._scratch = folder / "tmp"
        self._scratch.mkdir()
        self._screen, end = os.openpty() if terminal else os.pipe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.process = subprocess.Popen(
            [TASKLANE, "demo", *words],
            env=environment
            | {"TMPDIR": str(self._scratch), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
            | variables,
            stdin=end if terminal else subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
            preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509 - before any thread, so that Ctrl-C works
        )
        os.close(end)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        os.write(self._screen, b"\x03")

    def said(self, pattern: str) -> re.Match[str]:
        """Wait until it has said this."""
        found: re.Match[str] = wait_for(
            lambda: re.search(pattern, self.output), f"{pattern}:\n{self.output}", seconds=SECONDS
        )
        return found

    def ended(self) -> int:
        """Wait for its end; its exit code. Nothing of it is left then."""
        code = self.process.wait(SECONDS)
        self._reader.join(10)
        assert "Traceback" not in self.output
        assert list(self._scratch.iterdir()) == []
        wait_for(lambda: not processes_naming(str(self._scratch)), "the end of every process")
        for port in re.findall(r"http://127\.0\.0\.1:(\d+)", self.output):
            assert not processes_naming(f":{port}")
        return code

    def _read(self) -> None:
        with suppress(OSError):  # a terminal that is gone is an error, not an end
            while part := os.read(self._screen, 65_536):
                self.output += part.decode(errors="replace")
        os.close(self._screen)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def a_demo(folder: Path, *words: str, terminal: bool = False) -> Iterator[Demo]:
    demo = Demo(folder, *words, terminal=terminal)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(SECONDS)


@pytest.mark.long
def test_it_needs_nothing_but_itself_and_leaves_nothing(tmp_path: Path) -> None:
    with a_demo(tmp_path, "--tasks", "40", "--workers", "2", "--log", str(tmp_path / "log")) as demo:
        code = demo.ended()

    assert code == 0, demo.output
    lines = demo.output.splitlines()
    assert lines[0] == "Starting an installation: engine, API, workers."
    assert lines[1].startswith("Submitting 40 tasks to http://127.0.0.1:")
    assert any(line.endswith("40 of 40 are final (40 completed)") for line in lines)
    assert re.search(r"^40 tasks in [\d.]+ s, [\d.]+ a second: 40 completed\.$", demo.output, re.MULTILINE)
    assert re.search(r"^all +40 +[\d.]+ s +", demo.output, re.MULTILINE)
    assert "\x1b" not in demo.output
    assert '"message":"A task was completed."' in demo.log.read_text()


@pytest.mark.long
def test_on_a_terminal_bars_move_and_make_room_for_the_summary(tmp_path: Path) -> None:
    with a_demo(tmp_path, "--tasks", "40", "--workers", "1", terminal=True) as demo:
        code = demo.ended()

    assert code == 0, demo.output
    assert "━" in demo.output
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", demo.output)
    for name in ("lane 5", "lane 1", "pending", "running", "completed", "failed"):
        assert re.search(rf"{name} +━", plain), plain
    assert "40/40" in plain
    assert re.search(r"waited p50 [\d.]+ s p95 [\d.]+ s · in all p50", plain)
    assert plain.rstrip().splitlines()[-1].startswith("lane 1")


@pytest.mark.long
@pytest.mark.parametrize(("moment", "terminal"), [("Starting an installation", False), ("Submitting 3000", True)])
def test_an_interrupt_ends_everything_with_130(tmp_path: Path, moment: str, *, terminal: bool) -> None:
    with a_demo(tmp_path, "--tasks", "3000", "--workers", "2", terminal=terminal) as demo:
        demo.said(moment)
        if terminal:
            demo.interrupt()
        else:
            os.kill(demo.process.pid, signal.SIGTERM)
        code = demo.ended()

    assert code == 130, demo.output
    assert "Interrupted" in demo.output.splitlines()[-1]


@pytest.mark.long
def test_workers_that_die_are_noticed(tmp_path: Path) -> None:
    with a_demo(tmp_path, "--tasks", "3000", "--workers", "2") as demo:
        demo.said("Submitting 3000")
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent, *words = line.split()
            if int(parent) == demo.process.pid and "infra.local.worker_process" in words:
                os.kill(int(pid), signal.SIGKILL)
        code = demo.ended()

    assert (code, demo.output.splitlines()[-1].split(";")[0]) == (1, "Every worker has ended")


@pytest.mark.long
def test_an_installation_that_is_killed_outright_leaves_nothing_either(tmp_path: Path) -> None:
    with a_demo(tmp_path, "--tasks", "3000", "--workers", "2") as demo:
        demo.said("Submitting 3000")
        demo.process.kill()
        demo.process.wait()
        demo._reader.join(30)

    wait_for(lambda: not processes_naming(str(tmp_path / "tmp")), "the end of its children")
    wait_for(lambda: not list((tmp_path / "tmp").iterdir()), "the end of its files")


@pytest.mark.long
def test_it_uses_an_api_that_runs_already(shared_run: LocalRun) -> None:
    words = ["demo", "--url", shared_run.url, "--tasks", "30", "--json"]

    done = subprocess.run([TASKLANE, *words], capture_output=True, text=True, check=False, timeout=SECONDS)

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["tasks"], summary["statuses"]) == (30, {"completed": 30})
    assert summary["total_ms"]["p50"] > 0
    assert "Submitting 30 tasks" in done.stderr
