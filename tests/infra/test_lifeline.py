"""A child process never outlives the run, however the run ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from infra.local import lifeline
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def start_child(tmp_path: Path, code: str, **options: Any) -> lifeline.Child:
    beginning = "import sys, time, signal\nfrom infra.local.lifeline import Parent\nparent = Parent(int(sys.argv[1]))\n"
    (tmp_path / "a_child.py").write_text(f"{beginning}{code}\n")
    path = f"{tmp_path}{os.pathsep}{Path.cwd()}"
    return lifeline.start("a_child", environment=os.environ | {"PYTHONPATH": path}, **options)


def test_a_child_and_its_parent_take_turns(tmp_path: Path) -> None:
    child = start_child(
        tmp_path, "parent.say_ready(); line = parent.next_line(); sys.exit(int(line == 'go ' + 'x' * 100000 + '\\n'))"
    )
    try:
        assert child.wait_until_ready()
        child.tell("go " + "x" * 100_000)
        assert child.process.wait(PATIENCE_SECONDS) == 1
        assert child.has_ended
        child.tell("nobody hears this")
    finally:
        child.stop()


def test_a_child_that_fails_is_not_ready(tmp_path: Path) -> None:
    child = start_child(tmp_path, "sys.exit(3)")
    try:
        assert not child.wait_until_ready()
    finally:
        child.stop()


def test_a_child_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    child = start_child(tmp_path, "parent.end_with_it(); parent.say_ready(); time.sleep(60)")
    try:
        assert child.wait_until_ready()
        child.lifeline.close()
        assert child.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    finally:
        child.stop()


def test_a_child_that_does_not_end_with_its_parent_does_the_last_thing_and_is_killed(tmp_path: Path) -> None:
    child = start_child(
        tmp_path,
        "from pathlib import Path\n"
        "from infra.local import lifeline\n"
        "lifeline.STOP_SECONDS = 0.1\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "parent.end_with_it(Path(__file__).with_name('last').touch); parent.say_ready(); time.sleep(60)",
    )
    try:
        assert child.wait_until_ready()
        child.lifeline.close()
        assert child.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert (tmp_path / "last").exists()
    finally:
        child.stop()


def test_a_child_that_ignores_the_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); parent.say_ready(); time.sleep(60)"
    child = start_child(tmp_path, code)
    assert child.wait_until_ready()
    child.stop(grace_seconds=0.1)
    assert child.process.returncode == -signal.SIGKILL
    child.stop()


def test_a_child_with_a_group_takes_what_it_started_along(tmp_path: Path) -> None:
    code = (
        "import subprocess; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', 'GRANDCHILD']); "
        "parent.say_ready(); time.sleep(60)"
    ).replace("GRANDCHILD", str(tmp_path))
    child = start_child(tmp_path, code, own_group=True)
    assert child.wait_until_ready()
    group = child.process.pid
    child.stop()

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone, "the end of the group")
