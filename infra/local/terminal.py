"""The run's terminal: what the run itself says, and the log lines of the functions, coloured by function."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextlib import suppress
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
    """Prints lines; safe to use from several threads. Whatever comes, and wherever it goes, nothing is raised.

    The threads that print have more to do than that: one that ended would silence a function for the rest of the run.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(soft_wrap=True, highlight=False)
        self._complained = False

    def say(self, message: str = "", style: str = "") -> None:
        """Print what the run itself has to say."""
        self._print(Text(self._printable(message), style))

    def log(self, source: str, line: str, seconds: float | None = None) -> None:
        """Print one log line of a function (a JSON record, or plain text); metrics and platform lines are left out.

        seconds: when it was written, in Unix time; None is now.
        """
        if not line.strip() or line.startswith(PLATFORM):
            return
        line = UNPACKED.sub("functions/", line)
        record = _record(line)
        if "_aws" in record:  # a metric in CloudWatch's embedded format
            return
        clock = time.strftime("%H:%M:%S", time.localtime(seconds))
        text = Text().append(f"{clock} ", "dim").append(f"{source:<9} ", COLOURS.get(source, ""))
        text.append_text(_body(record) if record else Text(line.rstrip()))
        if (printable := self._printable(text.plain)) != text.plain:
            text = Text(printable)
        self._print(text)

    def _printable(self, text: str) -> str:
        """An error's text may hold half a character, and a terminal may know only some of the whole ones."""
        encoding = self._console.encoding
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _print(self, text: Text) -> None:
        try:
            self._console.print(text)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - rich ends the process where a pipe is closed
            if not self._complained:
                self._complained = True
                with suppress(Exception):
                    print(f"Lines are missing here, they could not be printed: {exc!r}", file=sys.stderr)


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
    except (ValueError, RecursionError):  # also of a number with too many digits
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
