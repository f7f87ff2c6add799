"""Follows the functions' log groups and prints their lines in the run's terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef

    from infra.local.clients import Clients
    from infra.local.terminal import Terminal

PAUSE_SECONDS = 0.5
PAUSE_FACTOR = 10  # the engine's answer takes longer the more invocations there were: leave it its time for others
MOST_SECONDS = 2.0
LATE_MS = 2_000  # a line may appear so long after its own time


class Follower:
    """Reads what is new in one log group."""

    def __init__(self, logs: CloudWatchLogsClient, group: str, since_ms: int) -> None:
        self._logs = logs
        self._group = group
        self._since_ms = since_ms
        self._seen: set[tuple[str, int, str, int]] = set()

    def new_events(self) -> Iterator[tuple[float, str]]:
        """Give (time in seconds, line) of every line that came since the last call."""
        events = self._read()
        alike: Counter[tuple[str, int, str]] = Counter()
        window: set[tuple[str, int, str, int]] = set()
        for event in events:
            line = (event.get("logStreamName", ""), event["timestamp"], event["message"])
            alike[line] += 1
            key = (*line, alike[line])
            window.add(key)
            if key not in self._seen:
                yield event["timestamp"] / 1000, event["message"]
        if events:
            newest = max(event["timestamp"] for event in events)
            self._since_ms = max(self._since_ms, newest - LATE_MS)
        self._seen = {key for key in window if key[1] >= self._since_ms}

    def _read(self) -> list[FilteredLogEventTypeDef]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._group, startTime=self._since_ms
        )
        return [event for page in pages for event in page["events"]]


@contextmanager
def following(clients: Clients, groups: Mapping[str, str], terminal: Terminal) -> Iterator[None]:
    """Print the log groups' lines while the context lasts, and what is left of them at its end.

    groups: the log group of each function by the function's word.
    """
    now = int(time.time() * 1000)
    followers = {source: Follower(clients.logs, group, now) for source, group in groups.items()}
    stop = threading.Event()

    def print_new() -> None:
        for source, follower in followers.items():
            for seconds, line in follower.new_events():
                terminal.log(source, line, seconds)

    def follow() -> None:
        pause, trouble = PAUSE_SECONDS, ""
        while not stop.wait(pause):
            started = time.monotonic()
            try:
                print_new()
                trouble = ""
            except Exception as exc:  # noqa: BLE001 - one that nobody foresaw must not silence the functions for good
                if trouble != (trouble := repr(exc)):
                    terminal.log("engine", f"The functions' logs could not be read, trying again: {exc!r}")
            pause = min(MOST_SECONDS, max(PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - started)))

    thread = threading.Thread(target=follow, name="logs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
        with suppress(Exception):
            print_new()


def log_groups(clients: Clients, functions: Mapping[str, str]) -> dict[str, str]:
    """Find each function's log group.

    functions: the function's name by its word.
    """
    return {
        word: clients.functions.get_function_configuration(FunctionName=name)["LoggingConfig"]["LogGroup"]
        for word, name in functions.items()
    }
