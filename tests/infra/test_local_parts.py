"""The parts of the local run that decide or print something, without an engine."""

from __future__ import annotations

import io
import json
import logging
import os
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from rich.console import Console

from infra.local import options, package, target
from infra.local.access_log import MOST, OncePerMinute
from infra.local.errors import LocalRunError
from infra.local.logs import Follower
from infra.local.terminal import Terminal, TerminalHandler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


# ----------------------------------------------------------------------------------------------------------------------
# Options
# ----------------------------------------------------------------------------------------------------------------------


def test_options_have_the_defaults_of_the_makefile() -> None:
    read = options.read([], {"PORT": "", "ENGINE_PORT": "", "DEBUG": "", "PERSIST": "", "WEBHOOK_SECRET": ""})
    assert (read.port, read.engine_port, read.debug, read.state) == (8000, 4566, False, None)
    assert read.webhook_secret == options.LOCAL_SECRET
    assert read.functions.name == "functions"


def test_options_take_what_is_given(tmp_path: Path) -> None:
    secret = "whsec_" + "B" * 32
    read = options.read(
        ["--functions", str(tmp_path), "--state", str(tmp_path / "state")],
        {"PORT": "9000", "ENGINE_PORT": "9001", "DEBUG": "1", "PERSIST": "yes", "WEBHOOK_SECRET": secret},
    )
    assert (read.port, read.engine_port, read.debug) == (9000, 9001, True)
    assert (read.functions, read.state, read.webhook_secret) == (tmp_path, tmp_path / "state", secret)


@pytest.mark.parametrize("value", ["0", "false", "No", "off", ""])
def test_a_switch_can_be_off(value: str) -> None:
    assert not options.read([], {"DEBUG": value}).debug


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8000.5", "²"])
def test_a_port_that_is_none_is_one_sentence(port: str) -> None:
    with pytest.raises(LocalRunError, match=r"^PORT=.* is no port: give a number from 1 to 65535\.$"):
        options.read([], {"PORT": port})


@pytest.mark.parametrize("given", [{"PORT": "9000", "ENGINE_PORT": "9000"}, {"PORT": "4566"}, {"ENGINE_PORT": "8000"}])
def test_two_ports_that_are_one_are_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(LocalRunError, match=r"^PORT and ENGINE_PORT are the same: choose another one\.$"):
        options.read([], given)


@pytest.mark.parametrize("secret", ["plain", "whsec_", "whsec_AAAA", "whsec_not base64!", "whsec_ä"])
def test_a_secret_that_cannot_sign_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(LocalRunError, match="WEBHOOK_SECRET cannot sign") as refused:
        options.read([], {"WEBHOOK_SECRET": secret})
    assert (secret.removeprefix("whsec_") or "?") not in str(refused.value)


# ----------------------------------------------------------------------------------------------------------------------
# Target
# ----------------------------------------------------------------------------------------------------------------------


def test_the_engines_target_knows_nothing_of_the_developers_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    assert target.at_port(4566).client_options == {
        "endpoint_url": "http://127.0.0.1:4566",
        "region_name": "us-east-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "aws_session_token": None,
    }


def test_another_engine_is_used_with_the_sdks_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target.from_environment() is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "given")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    named = target.from_environment()
    assert named
    assert named.endpoint == "http://127.0.0.1:5000"
    assert named.client_options["aws_access_key_id"] == "given"
    assert named.variables["AWS_REGION"] == "eu-west-1"


def test_a_child_process_gets_no_aws_variable_of_the_developer() -> None:
    given = {"AWS_PROFILE": "own", "PATH": "/bin", "AWS_ENDPOINT_URL": "x"}
    assert target.without_sdk_variables(given) == {"PATH": "/bin"}


# ----------------------------------------------------------------------------------------------------------------------
# Package
# ----------------------------------------------------------------------------------------------------------------------


def test_the_same_code_is_the_same_package_whatever_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "entrypoint.py").write_text("handler = 1\n")
    before = package.build(tmp_path)
    (tmp_path / "worker" / "__pycache__").mkdir()
    (tmp_path / "worker" / "__pycache__" / "entrypoint.pyc").write_bytes(b"\0")
    (tmp_path / ".hidden").write_text("x")
    os.utime(tmp_path / "worker" / "entrypoint.py", (0, 1_000_000_000))

    assert package.build(tmp_path) == before
    assert zipfile.ZipFile(io.BytesIO(before.content)).namelist() == ["worker/entrypoint.py"]

    (tmp_path / "worker" / "entrypoint.py").write_text("handler = 2\n")
    assert package.build(tmp_path).key != before.key


def test_code_that_does_not_compile_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def handler(:\n")
    with pytest.raises(SyntaxError) as found:
        package.check([tmp_path / "gone.py", tmp_path / "notes.txt", broken])
    assert found.value.filename == str(broken)


# ----------------------------------------------------------------------------------------------------------------------
# Terminal
# ----------------------------------------------------------------------------------------------------------------------


def printed(*lines: str, colours: bool = False) -> str:
    screen = io.StringIO()
    console = Console(file=screen, soft_wrap=True, highlight=False, color_system="standard" if colours else None)
    terminal = Terminal(console)
    for line in lines:
        terminal.log("worker", line, 0.0)
    return screen.getvalue()


def test_a_record_becomes_one_readable_line() -> None:
    record = {
        "level": "WARNING", "location": "f:1", "message": "An attempt failed.", "timestamp": "t", "service": "worker",
        "task_id": "01", "action": "attempt_failed", "exception": "Traceback\nValueError: no", "nothing": None,
    }  # fmt: skip
    line, *rest = printed(json.dumps(record)).splitlines()
    assert line.endswith("worker    WARNING An attempt failed. task_id=01 action=attempt_failed")
    assert rest == ["Traceback", "ValueError: no"]


def test_metrics_platform_lines_and_blanks_are_left_out() -> None:
    assert printed('{"_aws": {"Timestamp": 1}, "Tasks": 1}', "START RequestId: 1", "REPORT RequestId: 1", " \n") == ""


@pytest.mark.parametrize("line", ["plain", "{no json", "[red]no markup[/red]", "x" * 500])
def test_plain_text_comes_as_it_is(line: str) -> None:
    assert printed(line).rstrip("\n").endswith(f"worker    {line}")


def test_a_path_in_a_stack_trace_can_be_opened() -> None:
    record = {"message": "m", "exception": 'File "/tmp/a/ministack-lambda-w-1/code/handlers/echo.py", line 3'}
    assert 'File "functions/handlers/echo.py", line 3' in printed(json.dumps(record))


def test_each_function_has_its_colour() -> None:
    assert "\x1b[32mworker" in printed("plain", colours=True)


@pytest.mark.parametrize(("extra", "source"), [({"correlation_id": "c"}, "api"), ({"task_id": "t"}, "worker")])
def test_a_process_with_the_terminal_prints_its_records_as_functions_do(extra: dict[str, str], source: str) -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen, soft_wrap=True, highlight=False, color_system=None))
    handler = TerminalHandler(terminal, LambdaPowertoolsFormatter())

    handler.handle(logging.makeLogRecord({"msg": "A task was %s.", "args": ("done",), "levelname": "INFO", **extra}))

    [(name, value)] = extra.items()
    assert screen.getvalue().endswith(f" {source:<9} A task was done. {name}={value}\n")


# ----------------------------------------------------------------------------------------------------------------------
# Logs
# ----------------------------------------------------------------------------------------------------------------------


class FakeLogs:
    """Answers FilterLogEvents from a list."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def get_paginator(self, _: str) -> FakeLogs:
        return self

    def paginate(self, *, logGroupName: str, startTime: int) -> Sequence[dict[str, Any]]:  # noqa: N803 - the SDK's
        return [{"events": [event for event in self.events if event["timestamp"] >= startTime]}]

    def write(self, timestamp: int, message: str, stream: str = "s") -> None:
        self.events.append({"timestamp": timestamp, "message": message, "logStreamName": stream})


def test_every_line_comes_once_also_when_it_comes_late_or_twice() -> None:
    logs = FakeLogs()
    follower = Follower(logs, "group", 0)  # type: ignore[arg-type] # the one method that it uses
    logs.write(5000, "a")
    logs.write(5000, "a")
    assert [line for _, line in follower.new_events()] == ["a", "a"]

    logs.write(4000, "late", "t")
    logs.write(5000, "b")
    assert [line for _, line in follower.new_events()] == ["late", "b"]

    logs.write(60_000, "c")
    assert list(follower.new_events()) == [(60.0, "c")]
    assert list(follower.new_events()) == []


# ----------------------------------------------------------------------------------------------------------------------
# Requests
# ----------------------------------------------------------------------------------------------------------------------


def a_request(method: str, address: str, status: int) -> logging.LogRecord:
    """As uvicorn logs it."""
    args = ("127.0.0.1:50000", method, address, "1.1", status)
    return logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)


def test_what_is_looked_at_again_and_again_is_said_once_a_minute() -> None:
    now = [100.0]
    quiet = OncePerMinute(lambda: now[0])

    said = [quiet.filter(a_request("GET", "/v1/lanes", 200)) for _ in range(3)]
    now[0] += 59
    said.append(quiet.filter(a_request("GET", "/v1/lanes", 304)))
    now[0] += 1
    said.append(quiet.filter(a_request("GET", "/v1/lanes", 200)))

    assert said == [True, False, False, False, True]


def test_every_change_and_every_refusal_is_said() -> None:
    quiet = OncePerMinute(lambda: 0.0)
    requests = [("POST", "/v1/tasks", 202), ("GET", "/v1/tasks/none", 404), ("GET", "/v1/lanes", 503)]

    assert all(quiet.filter(a_request(*request)) for request in requests * 2)
    assert quiet.filter(logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "something else", None, None))


def test_what_has_been_said_is_not_remembered_without_bounds() -> None:
    quiet = OncePerMinute(lambda: 0.0)

    assert all(quiet.filter(a_request("GET", f"/v1/tasks/{number}", 200)) for number in range(3 * MOST))

    assert len(quiet._shown) <= MOST
