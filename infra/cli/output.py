"""How commands print: columns that any tool can cut, or JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from infra.cli.client import Task

MISSING = "-"
LONGEST = 200
"""Characters of a document that are shown; --json shows all of it."""


def require_output() -> None:
    """Raise CommandError where there is no standard output: nothing must be done of which nothing can be said."""
    if sys.stdout is None:  # how Python starts where it was closed
        raise CommandError("The standard output is closed.")


def unwritten(exc: OSError | UnicodeEncodeError) -> CommandError:
    """Give what is to be said of output that could not be written."""
    if isinstance(exc, UnicodeEncodeError):
        return CommandError(f"The output cannot be written in {exc.encoding}: set PYTHONIOENCODING=utf-8.")
    return CommandError(f"The output cannot be written: {exc.strerror or exc}.")


def say(text: str) -> None:
    """Print a line."""
    print(text)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented where a person reads it."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_columns(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in aligned columns under a header; a missing value is a dash, so that every row has each column."""
    table = [list(header), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(header))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other; what is missing is left out."""
    known = [(name, value) for name, value in fields if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name.ljust(width)}  {cell(value)}")


def cell(value: Any) -> str:
    """Give a value as one short line."""
    if value is None or value == "":
        return MISSING
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def moment(time: str | None) -> str | None:
    """Give an RFC 3339 time as people read it, to the second."""
    return None if time is None else f"{time[:19].replace('T', ' ')}Z"


def seconds(milliseconds: int | None) -> str | None:
    """Give a duration."""
    return None if milliseconds is None else f"{milliseconds / 1000:.3f} s"


def print_task(task: Task) -> None:
    """Print what a person wants to know about a task."""
    timings, error, progress = task["timings"], task["error"], task["progress"]
    callback = task["callback"]
    print_fields(
        [
            ("id", task["id"]),
            ("type", task["type"]),
            ("status", task["status"] + (" (cancel requested)" if task["cancel_requested"] else "")),
            ("priority", task["priority"]),
            ("tenant", task["tenant"]),
            ("labels", task["labels"]),
            ("attempt", f"{task['attempt']} of {task['max_attempts']}"),
            ("progress", progress and f"{progress['fraction']:.0%} {progress['message'] or ''}".strip()),
            ("created", moment(task["created_at"])),
            ("not before", moment(task["run_at"])),
            ("held by", task["held_by"]),
            ("waited", seconds(timings["waited_ms"])),
            ("ran", seconds(timings["ran_ms"])),
            ("in all", seconds(timings["total_ms"])),
            ("payload", task["payload_url"] or task["payload"]),
            ("result", task["result_url"] or task["result"]),
            ("error", error and f"{error['type']}: {error['message']}"),
            ("callback", callback and f"{callback['state']} {callback['url']}"),
        ]
    )


def print_tasks(tasks: Iterable[Task]) -> None:
    """Print tasks as a table."""
    print_columns(
        ("ID", "TYPE", "STATUS", "PRIORITY", "ATTEMPT", "CREATED", "WAITED", "IN ALL"),
        (
            (
                task["id"],
                task["type"],
                task["status"],
                task["priority"],
                task["attempt"],
                moment(task["created_at"]),
                seconds(task["timings"]["waited_ms"]),
                seconds(task["timings"]["total_ms"]),
            )
            for task in tasks
        ),
    )
