"""`make run` in a terminal whose output goes to a file: Ctrl-C ends all of it, too."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.e2e.local_run import READY, ROOT, LocalRun, local_run
from tests.support.waiting import PATIENCE_SECONDS, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]


def test_ctrl_c_ends_a_run_whose_output_goes_to_a_file(tmp_path: Path) -> None:
    run, log = LocalRun(tmp_path), tmp_path / "log"
    keyboard, terminal = os.openpty()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "run", f"PORT={run.port}", f"ENGINE_PORT={run.engine_port}"],
            cwd=ROOT,
            env={name: value for name, value in run.environment.items() if not name.startswith("MAKE")},
            stdin=terminal,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - before any thread: a terminal where Ctrl-C can be typed
        )
    os.close(terminal)
    try:
        wait_for(lambda: process.poll() is not None or READY in log.read_text(), "the ready lines")
        assert process.poll() is None, log.read_text()

        os.write(keyboard, b"\x03")

        process.wait(PATIENCE_SECONDS)
        run.assert_nothing_left()
        assert "Stopped." in log.read_text()
    finally:
        os.close(keyboard)
        if process.poll() is None:
            process.kill()


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    proxies = {"HTTP_PROXY": nobody, "http_proxy": nobody, "HTTPS_PROXY": nobody, "https_proxy": nobody}

    with local_run(tmp_path, terminal=False, **proxies, ALL_PROXY=nobody, NO_PROXY="", no_proxy="") as run:
        tasklane = str(Path(sys.executable).with_name("tasklane"))
        done = subprocess.run(
            [tasklane, "submit", "FibonacciTask", "--payload", '{"n": 10}', "--wait", "--url", run.url],
            env=run.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert (done.returncode, done.stderr) == (0, ""), run.output
        run.interrupt()
    assert "Stopped." in run.output


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
