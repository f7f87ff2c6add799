"""Nothing that a function says, and no terminal, ends the threads that print what functions say."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from infra.local import lifeline, logs
from infra.local.terminal import Terminal
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

HALF = "\ud800"


def a_terminal(encoding: str = "utf-8") -> tuple[Terminal, io.TextIOWrapper]:
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Terminal(Console(file=screen, soft_wrap=True, highlight=False)), screen


def lines(screen: io.TextIOWrapper) -> list[str]:
    screen.flush()
    assert isinstance(screen.buffer, io.BytesIO)
    return screen.buffer.getvalue().decode(screen.encoding).splitlines()


@pytest.mark.parametrize(
    ("line", "encoding", "shown"),
    [
        (json.dumps({"message": "An attempt failed.", "exception": f"ValueError: {HALF}"}), "utf-8", "\\ud800"),
        (f"plain {HALF}", "utf-8", "plain \\ud800"),
        ("für", "ascii", "f\\xfcr"),
        (json.dumps({"message": "für"}), "ascii", "f\\xfcr"),
        ('{"message": ' + "9" * 5000 + "}", "utf-8", "99999"),
        ('{"a":' * 100_000, "utf-8", '{"a":'),
    ],
)
def test_a_line_that_cannot_be_written_as_it_is_is_written_otherwise(line: str, encoding: str, shown: str) -> None:
    terminal, screen = a_terminal(encoding)

    terminal.log("worker", line, 0.0)
    terminal.say("And on.")

    assert shown in lines(screen)[0] + lines(screen)[1]
    assert lines(screen)[-1] == "And on."


class Closed(io.StringIO):
    """A standard output that somebody closed."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str, /) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "No space left"), ValueError("closed file")],
)
def test_a_terminal_that_is_gone_is_told_of_once(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as stdout:  # rich points a broken standard output there
        monkeypatch.setattr(sys, "stdout", stdout)
        terminal = Terminal(Console(file=Closed(error)))

        for _ in range(3):
            terminal.log("worker", "plain", 0.0)
            terminal.say("And on.")

    assert capsys.readouterr().err.count("could not be printed") == 1


class FailingLogs:
    """Answers FilterLogEvents, after some errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def get_paginator(self, _: str) -> FailingLogs:
        return self

    def paginate(self, **_: Any) -> Sequence[dict[str, Any]]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        now = int(time.time() * 1000)
        return [{"events": [{"timestamp": now, "message": f"line {self.asked} {HALF}", "logStreamName": "s"}]}]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(logs, "MOST_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
def test_the_logs_are_followed_after_an_error_that_nobody_foresaw() -> None:
    terminal, screen = a_terminal()
    source = FailingLogs(KeyError("events"), KeyError("events"), KeyError("events"))
    clients: Any = SimpleNamespace(logs=source)

    with logs.following(clients, {"worker": "group"}, terminal):
        wait_for(lambda: source.asked >= 5)
        assert "logs" in {thread.name for thread in threading.enumerate()}

    told = "\n".join(lines(screen))
    assert told.count("could not be read") == 1
    assert "line 4 \\ud800" in told


@pytest.mark.usefixtures("quick")
def test_an_error_at_the_very_end_does_not_end_the_run() -> None:
    source = FailingLogs(*[KeyError("events")] * 10_000)
    clients: Any = SimpleNamespace(logs=source)

    with logs.following(clients, {"worker": "group"}, a_terminal()[0]):
        wait_for(lambda: source.asked >= 1)


def test_a_process_may_write_what_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "writes_bytes.py").write_text("import os\nos.write(1, b'\\xff\\n')\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    monkeypatch.chdir(tmp_path)

    child = lifeline.start("writes_bytes", [], environment=environment, output=lifeline.PIPE)

    assert child.process.stdout is not None
    with child.process.stdout as output:
        assert output.read() == "\\xff\n"
    child.stop()
