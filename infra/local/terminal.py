"""The run's terminal: what the run itself says, and the log lines of the functions, coloured by function."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

from rich.console import Console
from rich.text import Text

COLOURS = {
    "api": "cyan",
    "worker": "green",
    "callbacks": "magenta",
    "sweeper": "yellow",
    "cleaner": "yellow",
    "receiver": "blue",
    "engine": "red",
}
LEVELS = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
# What every line of the logger has and nobody reads on a laptop.
BORING = frozenset(
    {
        "level", "location", "message", "timestamp", "service", "cold_start", "function_name", "function_memory_size",
        "function_arn", "function_request_id", "xray_trace_id", "exception", "exception_name", "stack_trace",
        "sampling_rate", "request_id", "stage",
    }
)  # fmt: skip
# Where the engine unpacks the functions; a path that starts with functions/ can be opened.
UNPACKED = re.compile(r"/[^\s\"']*/ministack-lambda-[^/]+/code/")
PLATFORM = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")


class Terminal:
    """Prints lines; safe to use from several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)

    def say(self, message: str = "", style: str = "") -> None:
        """Print what the run itself has to say."""
        self._console.print(Text(message, style))

    def log(self, source: str, line: str, seconds: float | None = None) -> None:
        """Print one log line of a function (a JSON record, or plain text); metrics and platform lines are left out.

        seconds: when it was written, in Unix time; None is now.
        """
        if not line.strip() or line.startswith(PLATFORM):
            return
        record = _record(UNPACKED.sub("functions/", line))
        if "_aws" in record:  # a metric in CloudWatch's embedded format
            return
        clock = time.strftime("%H:%M:%S", time.localtime(seconds))
        text = Text().append(f"{clock} ", "dim").append(f"{source:<9} ", COLOURS.get(source, ""))
        self._console.print(text.append_text(_body(record) if record else Text(line.rstrip())))


class TerminalHandler(logging.Handler):
    """Prints the log records of a process that has the terminal itself, where API and worker are one (DEBUG=1).

    formatter: makes the JSON lines that a function writes.
    """

    def __init__(self, terminal: Terminal, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._terminal = terminal
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; what a request caused comes from the api, everything else from the worker."""
        try:
            source = "api" if hasattr(record, "correlation_id") else "worker"
            self._terminal.log(source, self.format(record), record.created)
        except Exception:  # noqa: BLE001 - logging's own rule: a line that cannot be written harms nobody
            self.handleError(record)


def _record(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        record: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return record


def _body(record: dict[str, Any]) -> Text:
    level = str(record.get("level", "INFO"))
    text = Text()
    if level in LEVELS:
        text.append(f"{level} ", LEVELS[level])
    text.append(str(record.get("message", "")))
    for name, value in record.items():
        if name not in BORING and value is not None:
            text.append(f" {name}={value}", "dim")
    if record.get("exception"):
        text.append(f"\n{record['exception']}", "red")
    return text
