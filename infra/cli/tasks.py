"""Commands about one task: submit, get, cancel, retry."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.client import DEFAULT_URL, FINAL
from infra.cli.errors import WRONG_USE, CommandError
from infra.cli.options import Json, TaskId, Timeout, Url, connect, read_labels
from infra.cli.output import print_json, print_task, say

if TYPE_CHECKING:
    from infra.cli.client import Task


def submit(  # noqa: PLR0913 - each is an option
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TYPE", show_default=False, help="The task type.")],
    *,
    payload: Annotated[
        str, typer.Option(help="A JSON object (or array); @FILE reads it from a file, - from the standard input.")
    ] = "{}",
    priority: Annotated[int | None, typer.Option(help="5 is first, 1 is last.", show_default=False)] = None,
    delay: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="Not before so many seconds from now.", show_default=False)
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose task it is.", show_default=False)] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Your own words; may be repeated.", show_default=False)
    ] = None,
    throttle: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Counts towards this limit.", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: again with it, no second task.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 1 unless it completed.")] = False,
    timeout: Timeout = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Submit a task."""
    task: dict[str, Any] = {"type": name, "payload": read_payload(payload)}
    given: dict[str, Any] = {"throttle_keys": throttle or []}
    given |= {"priority": priority, "delay_seconds": delay, "tenant": tenant, "labels": read_labels(label or ())}
    with connect(context, url) as api:
        accepted = api.submit(task | {name: value for name, value in given.items() if value not in (None, [], {})}, key)
        show(api.wait(accepted["id"], timeout) if wait else accepted, as_json=as_json, awaited=wait)


def get(
    context: typer.Context,
    task_id: TaskId,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 1 unless it completed.")] = False,
    timeout: Timeout = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a task."""
    with connect(context, url) as api:
        show(api.wait(task_id, timeout) if wait else api.get(task_id), as_json=as_json, awaited=wait)


def cancel(context: typer.Context, task_id: TaskId, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Call a task off: one that waits at once, one that runs when its handler lets go."""
    with connect(context, url) as api:
        told(api.change(task_id, "cancel"), as_json=as_json)


def retry(context: typer.Context, task_id: TaskId, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let a failed, cancelled or expired task begin again."""
    with connect(context, url) as api:
        told(api.change(task_id, "retry"), as_json=as_json)


def show(task: Task, *, as_json: bool, awaited: bool) -> None:
    """Print a task. Raises CommandError where it was waited for and did not complete."""
    print_json(task) if as_json else print_task(task)
    if awaited and task["status"] != "completed":
        error = task["error"]
        reason = f" ({error['type']})" if error else ""
        state = f"is {task['status']}{reason}" if task["status"] in FINAL else f"is still {task['status']}"
        raise CommandError(f"The task {state}.")


def told(task: Task, *, as_json: bool) -> None:
    """Print what became of a task that was changed."""
    if as_json:
        print_json(task)
    else:
        asked = " and was asked to stop" if task["cancel_requested"] else ""
        say(f"{task['id']} is {task['status']}{asked}.")


def read_payload(given: str) -> dict[str, Any] | list[Any]:
    """Give the payload from the command line, a file or the standard input. Raises CommandError."""
    try:
        if given == "-":
            text = sys.stdin.read()
        elif given.startswith("@"):
            text = Path(given[1:]).read_text(encoding="utf-8")
        else:
            text = given
    except (OSError, ValueError) as exc:
        raise CommandError(f"The payload cannot be read: {exc}.", WRONG_USE) from exc
    try:
        payload = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:
        raise CommandError(f"The payload is not JSON: {exc}.", WRONG_USE) from exc
    if not isinstance(payload, dict | list):
        raise CommandError('The payload is neither a JSON object, such as {"n": 10}, nor an array.', WRONG_USE)
    return payload


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number there")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found
